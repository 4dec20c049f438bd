-- Fills: vanished_key: the records that are held back go, so that they get no tombstone.
-- Reads: bronze.held_back.
-- Twice is safe: what is gone is gone.
delete from vanished_key v
using bronze.held_back h
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and h.external_id = v.external_id
