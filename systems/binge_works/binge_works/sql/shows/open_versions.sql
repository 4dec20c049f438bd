-- Fills: tmdb_data.dim_shows_history with a version from this day on for every staged item (those in English) that has no current one.
-- Reads: staging.shows, tmdb_data.dim_shows_history.
-- Twice is safe: who has a current version gets no other.
insert into tmdb_data.dim_shows_history (
    id,
    name, original_name, overview, first_air_date, popularity, vote_average, vote_count, poster_path,
    backdrop_path, original_language, genre_ids, origin_country, adult,
    effective_date, is_current
)
select s.id,
       s.name, s.original_name, s.overview, s.first_air_date, s.popularity, s.vote_average, s.vote_count,
       s.poster_path, s.backdrop_path, s.original_language, s.genre_ids, s.origin_country, s.adult,
       s.as_of, true
from staging.shows s
where not exists (select from tmdb_data.dim_shows_history h where h.id = s.id and h.is_current)
  and s.original_language = 'en'
