-- Fills: nothing; returns how many records a complete listing should name, and how many living ones it did not.
-- Reads: bronze.entity_heads, seen_key, rejected_key, meta.stream_state.
-- Twice is safe: it only reads. What came since the last complete listing does not count among those it should name, so
-- that new records hide no loss of old ones.
select count(*) filter (where s.last_full_at is null or h.first_seen_at <= s.last_full_at) as living,
       count(*) filter (where k.external_id is null and j.external_id is null) as vanished
from bronze.entity_heads h
left join seen_key k on k.external_id = h.external_id
left join rejected_key j on j.external_id = h.external_id
left join meta.stream_state s
    on s.source_system = h.source_system
    and s.entity_type = h.entity_type
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and not h.is_deleted
