-- Fills: nothing; every version of one id, the oldest first.
-- Reads: tmdb_data.dim_people_history.
-- Twice is safe: it only reads.
select id_sk, effective_date, expiration_date,
       gender, known_for_department, name, popularity, profile_path
from tmdb_data.dim_people_history
where id = %(id)s
order by effective_date
