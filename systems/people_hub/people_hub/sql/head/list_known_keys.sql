-- Reads: bronze.entity_heads: the keys of a stream's records, those that have vanished from its listing too.
select external_id
from bronze.entity_heads
where source_system = %(source_system)s
  and entity_type = %(entity_type)s
order by external_id
