-- Fills: what is current in tmdb_data.dim_shows_history: a version that began on this day is overwritten, of an earlier one only what is not tracked.
-- Reads: staging.shows, tmdb_data.dim_shows_history.
-- Twice is safe: a version that is equal is not touched.
update tmdb_data.dim_shows_history h
set name = s.name,
    original_name = s.original_name,
    overview = s.overview,
    first_air_date = s.first_air_date,
    popularity = s.popularity,
    vote_average = s.vote_average,
    vote_count = s.vote_count,
    poster_path = s.poster_path,
    backdrop_path = s.backdrop_path,
    original_language = s.original_language,
    genre_ids = s.genre_ids,
    origin_country = s.origin_country,
    adult = s.adult,
    update_timestamp = now()
from staging.shows s
where h.id = s.id
  and h.is_current
  and s.original_language = 'en'
  and (h.name, h.original_name, h.overview, h.first_air_date, h.popularity, h.vote_average, h.vote_count,
       h.poster_path, h.backdrop_path, h.original_language, h.genre_ids, h.origin_country, h.adult)
      is distinct from
      (s.name, s.original_name, s.overview, s.first_air_date, s.popularity, s.vote_average, s.vote_count,
       s.poster_path, s.backdrop_path, s.original_language, s.genre_ids, s.origin_country, s.adult)
