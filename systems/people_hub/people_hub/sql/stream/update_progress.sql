-- Fills: the running run's counts, and its heartbeat, in the transaction of a page.
-- Reads: meta.ingestion_runs.
-- Twice is safe: it sets the same again.
update meta.ingestion_runs
set records_processed = %(records_processed)s,
    records_created = %(records_created)s,
    records_updated = %(records_updated)s,
    metadata = metadata || jsonb_build_object('heartbeat_at', clock_timestamp())
where run_id = %(run_id)s
  and status = 'running'
