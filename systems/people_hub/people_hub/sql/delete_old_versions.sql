-- Fills: nothing; deletes versions of bronze.raw_entities older than the given age that are nobody's newest.
-- Reads: bronze.raw_entities, bronze.entity_heads.
-- Twice is safe: the second time finds nothing. The newest version of every record stays, however old.
delete from bronze.raw_entities r
where r.ingested_at < now() - %(older_than)s::interval
  and not exists (select from bronze.entity_heads h where h.raw_id = r.raw_id)
