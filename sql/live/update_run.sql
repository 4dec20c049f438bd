-- Fills: the live run's row in meta.ingestion_runs with its figures so far.
-- Reads: meta.ingestion_runs.
-- Twice is safe: it writes the same again. A run that another consumer took for dead while the database was away lives.
update meta.ingestion_runs
set status = 'running',
    completed_at = null,
    error_message = null,
    metadata = metadata || %(metadata)s
where run_id = %(run_id)s
