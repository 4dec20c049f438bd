-- Fills: nothing; returns how many live and how many a complete listing did not name, of all and of those known at the last.
-- Reads: bronze.entity_heads, vanished_key, meta.stream_state.
-- Twice is safe: it only reads.
select count(*) as living,
       count(v.external_id) as vanished,
       count(*) filter (where is_known) as known,
       count(v.external_id) filter (where is_known) as known_vanished
from (
    select h.external_id,
           s.last_full_at is null or h.first_seen_at <= s.last_full_at as is_known
    from bronze.entity_heads h
    left join meta.stream_state s
        on s.source_system = h.source_system
        and s.entity_type = h.entity_type
    where h.source_system = %(source_system)s
      and h.entity_type = %(entity_type)s
      and not h.is_deleted
) living
left join vanished_key v using (external_id)
