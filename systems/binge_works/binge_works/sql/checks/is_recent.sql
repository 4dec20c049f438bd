-- Fills: nothing; whether a table holds a day that is no older than so many days.
-- Reads: tmdb_data.loaded_day.
-- Twice is safe: it only reads.
select coalesce(max(as_of) >= %(today)s::date - %(days)s, true) as passed,
       count(*) > 0 as is_loaded,
       max(as_of) as as_of
from tmdb_data.loaded_day
where table_name = %(table)s
