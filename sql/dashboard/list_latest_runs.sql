-- Reads: meta.ingestion_runs of the museum.
select left(run_id::text, 8) as run,
       entity_type as kind,
       started_at,
       completed_at,
       status,
       records_processed as processed,
       records_created as stored,
       coalesce((metadata -> 'load' ->> 'records_rejected')::bigint, (metadata -> 'live' ->> 'rejected')::bigint, 0) as rejected,
       left(error_message, 300) as error
from meta.ingestion_runs
where source_system = 'museum'
order by started_at desc
limit %(limit)s
