-- Fills: nothing; deletes finished runs of meta.ingestion_runs that started before the given age.
-- Reads: meta.ingestion_runs.
-- Twice is safe: the second time finds nothing. Running rows and everything that the runs loaded stay.
delete from meta.ingestion_runs
where status <> 'running'
  and started_at < now() - %(older_than)s::interval
