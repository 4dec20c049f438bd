-- Fills: nothing; the day that a table holds, and the run that brought it into staging.
-- Reads: tmdb_data.loaded_day.
-- Twice is safe: it only reads.
select as_of, run_id::text
from tmdb_data.loaded_day
where table_name = %(table)s
