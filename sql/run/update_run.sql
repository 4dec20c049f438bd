-- Fills: the live run's row in meta.ingestion_runs with its figures so far.
-- Reads: meta.ingestion_runs.
-- Twice is safe: it writes the same again, with the time of the report. A run that another consumer took for dead while the database was away lives.
update meta.ingestion_runs
set status = 'running',
    completed_at = null,
    error_message = null,
    metadata = metadata || %(metadata)s || jsonb_build_object('reported_at', clock_timestamp())
where run_id = %(run_id)s
