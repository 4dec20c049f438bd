-- Reads: the latest run of the live consumer in meta.ingestion_runs; one that runs before one that has ended.
select status,
       (metadata -> 'live' ->> 'lag')::bigint as lag,
       (metadata ->> 'reported_at')::timestamptz as reported_at,
       started_at
from meta.ingestion_runs
where source_system = 'museum'
  and entity_type = 'live'
order by status = 'running' desc, started_at desc
limit 1
