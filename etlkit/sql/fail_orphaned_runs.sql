-- Fills: rows of meta.ingestion_runs that still say "running" although the lock of their target is ours.
-- Reads: meta.ingestion_runs.
-- Twice is safe: only running rows fail. Run it only while holding the target's lock.
update meta.ingestion_runs
set status = 'failed',
    completed_at = coalesce((metadata ->> 'heartbeat_at')::timestamptz, clock_timestamp()),  -- the last heard of it
    error_message = 'the process ended without a word; what it had not committed was rolled back'
where source_system = %(source_system)s
  and entity_type = %(entity_type)s
  and status = 'running'
