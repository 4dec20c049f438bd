-- Fills: tmdb_data.dim_people_history with a version from this day on for every staged item (all of them) that has no current one.
-- Reads: staging.popular_people, tmdb_data.dim_people_history.
-- Twice is safe: who has a current version gets no other.
insert into tmdb_data.dim_people_history (
    id,
    gender, known_for_department, name, popularity, profile_path,
    effective_date, is_current
)
select s.id,
       s.gender, s.known_for_department, s.name, s.popularity, s.profile_path,
       s.as_of, true
from staging.popular_people s
where not exists (select from tmdb_data.dim_people_history h where h.id = s.id and h.is_current)
