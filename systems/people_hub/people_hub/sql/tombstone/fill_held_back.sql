-- Fills: bronze.held_back with the records that a whole listing did not name, while a record without a key came that may be one.
-- Reads: vanished_key.
-- Twice is safe: one row a record.
insert into bronze.held_back (source_system, entity_type, external_id)
select %(source_system)s, %(entity_type)s, external_id
from vanished_key
on conflict (source_system, entity_type, external_id) do nothing
