-- Reads: bronze.entity_heads and bronze.raw_entities: the newest versions of some keys.
select h.external_id,
       r.raw_data::text
from bronze.entity_heads h
join bronze.raw_entities r on r.raw_id = h.raw_id
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and h.external_id = any (%(external_ids)s)
