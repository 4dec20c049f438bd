-- Fills: tmdb_data.dim_popular_people: staged items (all of them), where they are new or differ; counted with those that stand there already.
-- Reads: staging.popular_people, tmdb_data.dim_popular_people.
-- Twice is safe: keyed by id; a row that is equal is not touched.
with listed as (
    select id,
           gender, known_for_department, name, popularity, profile_path
    from staging.popular_people
),
unchanged as (
    select count(*) as items
    from listed l
    join tmdb_data.dim_popular_people d on d.id = l.id
    where (d.gender, d.known_for_department, d.name, d.popularity, d.profile_path)
        is not distinct from
          (l.gender, l.known_for_department, l.name, l.popularity, l.profile_path)
),
filled as (
    insert into tmdb_data.dim_popular_people as d (
        id,
        gender, known_for_department, name, popularity, profile_path
    )
    select * from listed
    on conflict (id) do update set
        gender = excluded.gender,
        known_for_department = excluded.known_for_department,
        name = excluded.name,
        popularity = excluded.popularity,
        profile_path = excluded.profile_path,
        last_update = now()
    where (d.gender, d.known_for_department, d.name, d.popularity, d.profile_path)
        is distinct from
          (excluded.gender, excluded.known_for_department, excluded.name, excluded.popularity,
           excluded.profile_path)
    returning (d.xmax = 0) as is_new
)
select count(*) filter (where f.is_new) as inserted,
       count(*) filter (where not f.is_new) as updated,
       (select items from unchanged) as unchanged,
       0 as filtered
from filled f
