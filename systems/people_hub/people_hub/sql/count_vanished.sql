-- Fills: nothing; returns how many records are alive and how many of them a complete listing did not name.
-- Reads: bronze.entity_heads, seen_key, rejected_key.
-- Twice is safe: it only reads.
select count(*) as living,
       count(*) filter (where k.external_id is null and j.external_id is null) as vanished
from bronze.entity_heads h
left join seen_key k on k.external_id = h.external_id
left join rejected_key j on j.external_id = h.external_id
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and not h.is_deleted
