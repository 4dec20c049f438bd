-- Fills: nothing; whether no more than this share of the ids known before has got a new version on the last day.
-- Reads: tmdb_data.dim_people_history, tmdb_data.loaded_day.
-- Twice is safe: it only reads.
select count(*) filter (where h.expiration_date = d.as_of)
           <= %(share)s * greatest(1, count(distinct h.id) filter (where h.effective_date < d.as_of)) as passed,
       count(*) > 0 as is_loaded,
       count(distinct h.id) filter (where h.effective_date < d.as_of) as known_before,
       count(*) filter (where h.expiration_date = d.as_of) as changed
from tmdb_data.loaded_day d
join tmdb_data.dim_people_history h on true
where d.table_name = %(table)s
