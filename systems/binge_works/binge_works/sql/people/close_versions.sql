-- Fills: expiration_date of current versions in tmdb_data.dim_people_history whose tracked values changed since an earlier day.
-- Reads: staging.popular_people, tmdb_data.dim_people_history.
-- Twice is safe: a version that is closed is not current any more, and one that began on this day stays open.
update tmdb_data.dim_people_history h
set expiration_date = s.as_of,
    is_current = false,
    update_timestamp = now()
from staging.popular_people s
where h.id = s.id
  and h.is_current
  and h.effective_date < s.as_of
  and (
      (h.gender, h.known_for_department, h.name, h.profile_path)
          is distinct from
      (s.gender, s.known_for_department, s.name, s.profile_path)
      or (%(track_metrics)s
          and h.popularity is distinct from s.popularity)
  )
