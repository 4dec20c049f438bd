-- Fills: nothing.
-- Reads: meta.ingestion_runs: every system that ever ran.
-- Twice is safe: it only reads.
select distinct source_system
from meta.ingestion_runs
order by source_system
