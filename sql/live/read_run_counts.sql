-- Fills: nothing.
-- Reads: meta.ingestion_runs, the counts of one run.
-- Twice is safe: it only reads.
select records_processed, records_created
from meta.ingestion_runs
where run_id = %(run_id)s
