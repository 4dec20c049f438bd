-- Reads: meta.ingestion_runs, the live runs that say they are running, but for ours.
select run_id::text
from meta.ingestion_runs
where source_system = 'museum'
  and entity_type = 'live'
  and status = 'running'
  and run_id <> %(run_id)s::uuid
