-- Fills: the run's row in meta.ingestion_runs after its data was rolled back.
-- Reads: meta.ingestion_runs.
-- Twice is safe: only a running row fails.
update meta.ingestion_runs
set status = 'failed',
    completed_at = clock_timestamp(),
    records_processed = coalesce(%(records_processed)s, records_processed),
    records_created = coalesce(%(records_created)s, records_created),
    records_updated = coalesce(%(records_updated)s, records_updated),
    metadata = metadata || %(metadata)s,
    error_message = %(error_message)s
where run_id = %(run_id)s
  and status = 'running'
