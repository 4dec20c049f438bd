-- Fills: nothing; deletes versions of bronze.raw_entities that were replaced longer ago than the given age.
-- Reads: bronze.raw_entities.
-- Twice is safe: the second time finds nothing. What was the newest version at any time since then stays, however old, and
-- a tombstone replaces no content: what a deleted record last said stays beside it.
delete from bronze.raw_entities r
where exists (
    select from bronze.raw_entities n
    where n.external_id = r.external_id
      and n.entity_type = r.entity_type
      and n.source_system = r.source_system
      and n.raw_id > r.raw_id
      and n.ingested_at < now() - %(older_than)s::interval
      and (r.is_tombstone or not n.is_tombstone)
)
