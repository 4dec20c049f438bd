-- Fills: nothing.
-- Reads: bronze.raw_entities: every version of one record, the newest first.
-- Twice is safe: it only reads.
select raw_id,
       ingested_at,
       ingestion_run_id,
       is_tombstone,
       raw_data,
       ingestion_metadata
from bronze.raw_entities
where source_system = %(source_system)s
  and entity_type = %(entity_type)s
  and external_id = %(external_id)s
order by raw_id desc
