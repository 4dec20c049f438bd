-- Fills: the run's row in meta.ingestion_runs, in the transaction of the run's data.
-- Reads: meta.ingestion_runs.
-- Twice is safe: only a running row is completed.
update meta.ingestion_runs
set status = 'completed',
    completed_at = clock_timestamp(),
    records_processed = %(records_processed)s,
    records_created = %(records_created)s,
    records_updated = %(records_updated)s,
    metadata = metadata || %(metadata)s
where run_id = %(run_id)s
  and status = 'running'
