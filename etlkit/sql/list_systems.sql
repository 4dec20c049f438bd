-- Reads: meta.ingestion_runs: every system that ever ran.
select distinct source_system
from meta.ingestion_runs
order by source_system
