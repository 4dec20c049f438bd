-- Fills: the live run's counts in meta.ingestion_runs, in the transaction of the messages.
-- Reads: meta.ingestion_runs.
-- Twice is safe: a batch that is read again was rolled back, its counts included.
update meta.ingestion_runs
set records_processed = records_processed + %(processed)s,
    records_created = records_created + %(created)s
where run_id = %(run_id)s
