-- Fills: nothing; returns how many live and how many a complete listing did not name, of all and of those known at the last.
-- Reads: bronze.entity_heads, seen_key, rejected_key, meta.stream_state.
-- Twice is safe: it only reads.
select count(*) as living,
       count(*) filter (where is_vanished) as vanished,
       count(*) filter (where is_known) as known,
       count(*) filter (where is_known and is_vanished) as known_vanished
from (
    select k.external_id is null and j.external_id is null as is_vanished,
           s.last_full_at is null or h.first_seen_at <= s.last_full_at as is_known
    from bronze.entity_heads h
    left join seen_key k on k.external_id = h.external_id
    left join rejected_key j on j.external_id = h.external_id
    left join meta.stream_state s
        on s.source_system = h.source_system
        and s.entity_type = h.entity_type
    where h.source_system = %(source_system)s
      and h.entity_type = %(entity_type)s
      and not h.is_deleted
) every
