-- Reads: meta.ingestion_runs.
-- For people to see: no run chooses its records by it.
select max(completed_at)
from meta.ingestion_runs
where source_system = 'silver_transformation'
  and entity_type = %(entity_type)s
  and status = 'completed'
