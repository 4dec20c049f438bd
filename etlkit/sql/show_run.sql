-- Reads: the rows of meta.ingestion_runs whose id starts with the given text; it may be shortened like a git hash.
select run_id,
       source_system,
       entity_type,
       started_at,
       completed_at,
       status,
       records_processed,
       records_created,
       records_updated,
       error_message,
       metadata
from meta.ingestion_runs
where starts_with(run_id::text, lower(%(run)s))
order by started_at desc
limit 2
