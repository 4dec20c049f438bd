-- Fills: expiration_date of current versions in tmdb_data.dim_shows_history whose tracked values changed since an earlier day. The order of genres is none.
-- Reads: staging.shows, tmdb_data.dim_shows_history.
-- Twice is safe: a version that is closed is not current any more, and one that began on this day stays open.
update tmdb_data.dim_shows_history h
set expiration_date = s.as_of,
    is_current = false,
    update_timestamp = now()
from staging.shows s
where h.id = s.id
  and h.is_current
  and h.effective_date < s.as_of
  and s.original_language = 'en'
  and (
      (h.name, h.original_name, h.overview, h.first_air_date, h.poster_path, h.backdrop_path,
       h.original_language, h.origin_country, h.adult)
          is distinct from
      (s.name, s.original_name, s.overview, s.first_air_date, s.poster_path, s.backdrop_path,
       s.original_language, s.origin_country, s.adult)
      or (h.genre_ids is distinct from s.genre_ids
          and ((h.genre_ids is null) <> (s.genre_ids is null)
               or (select jsonb_agg(g order by g) from jsonb_array_elements(h.genre_ids) g)
                   is distinct from (select jsonb_agg(g order by g) from jsonb_array_elements(s.genre_ids) g)))
      or (%(track_metrics)s
          and (h.popularity, h.vote_average, h.vote_count)
              is distinct from (s.popularity, s.vote_average, s.vote_count))
  )
