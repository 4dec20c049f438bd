-- Reads: bronze.raw_entities, bronze.entity_heads: every version of one record, the newest first.
select r.raw_id,
       r.ingested_at,
       r.ingestion_run_id,
       r.is_tombstone,
       r.raw_data,
       r.ingestion_metadata,
       r.ingested_at <= h.first_seen_at as is_first
from bronze.raw_entities r
join bronze.entity_heads h
    on h.source_system = r.source_system
    and h.entity_type = r.entity_type
    and h.external_id = r.external_id
where r.source_system = %(source_system)s
  and r.entity_type = %(entity_type)s
  and r.external_id = %(external_id)s
order by r.raw_id desc
