-- Fills: nothing; whether every staged item is in the current table, once both hold the same load.
-- Reads: staging.popular_people, tmdb_data.dim_popular_people, tmdb_data.loaded_day.
-- Twice is safe: it only reads.
select count(*) filter (where c.id is null) = 0 or not bool_and(coalesce(d.run_id = s.run_id, false)) as passed,
       exists (select from tmdb_data.loaded_day where table_name = %(table)s) as is_loaded,
       count(*) as staged,
       count(*) filter (where c.id is null) as missing
from staging.popular_people s
left join tmdb_data.dim_popular_people c on c.id = s.id
left join tmdb_data.loaded_day d on d.table_name = %(table)s
