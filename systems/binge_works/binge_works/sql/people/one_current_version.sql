-- Fills: nothing; whether every id has exactly one current version.
-- Reads: tmdb_data.dim_people_history.
-- Twice is safe: it only reads.
select count(*) filter (where v.currents <> 1) = 0 as passed,
       exists (select from tmdb_data.loaded_day where table_name = %(table)s) as is_loaded,
       count(*) as ids,
       count(*) filter (where v.currents <> 1) as wrong
from (select id, count(*) filter (where is_current) as currents from tmdb_data.dim_people_history group by id) v
