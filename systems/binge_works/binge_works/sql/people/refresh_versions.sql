-- Fills: what is current in tmdb_data.dim_people_history: a version that began on this day is overwritten, of an earlier one only what is not tracked.
-- Reads: staging.popular_people, tmdb_data.dim_people_history.
-- Twice is safe: a version that is equal is not touched.
update tmdb_data.dim_people_history h
set gender = s.gender,
    known_for_department = s.known_for_department,
    name = s.name,
    popularity = s.popularity,
    profile_path = s.profile_path,
    update_timestamp = now()
from staging.popular_people s
where h.id = s.id
  and h.is_current
  and (h.gender, h.known_for_department, h.name, h.popularity, h.profile_path)
      is distinct from
      (s.gender, s.known_for_department, s.name, s.popularity, s.profile_path)
