-- Fills: bronze.held_back: what the listing names again goes, and all of the stream once no record is without a key.
-- Reads: vanished_key.
-- Twice is safe: what is gone is gone.
delete from bronze.held_back h
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and (%(has_no_keyless)s or not exists (select from vanished_key v where v.external_id = h.external_id))
