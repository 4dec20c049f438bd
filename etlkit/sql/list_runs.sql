-- Reads: meta.ingestion_runs, newest first.
select run_id,
       source_system,
       entity_type,
       started_at,
       round(extract(epoch from completed_at - started_at), 1) as seconds,
       status,
       records_processed,
       records_created,
       records_updated,
       error_message
from meta.ingestion_runs
where (%(source_system)s::text is null or source_system = %(source_system)s)
order by started_at desc
limit %(limit)s
