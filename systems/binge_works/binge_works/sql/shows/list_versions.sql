-- Fills: nothing; every version of one id, the oldest first.
-- Reads: tmdb_data.dim_shows_history.
-- Twice is safe: it only reads.
select id_sk, effective_date, expiration_date,
       name, original_name, overview, first_air_date, popularity, vote_average, vote_count, poster_path,
       backdrop_path, original_language, genre_ids, origin_country, adult
from tmdb_data.dim_shows_history
where id = %(id)s
order by effective_date
