-- Fills: tmdb_data.bridge_person_project: what the people of this list are known for, where it is new or has another title; counted with what stands there.
-- Reads: staging.popular_people, tmdb_data.bridge_person_project.
-- Twice is safe: keyed by person, kind and project; of one that is named twice the first counts, and a row that is equal is not touched.
with listed as (
    select distinct on (s.id, k.project ->> 'media_type', (k.project ->> 'id')::integer)
           s.id as person_id,
           (k.project ->> 'id')::integer as project_id,
           k.project ->> 'media_type' as media_type,
           coalesce(k.project ->> 'title', k.project ->> 'name') as project_title
    from staging.popular_people s
    cross join lateral jsonb_array_elements(s.known_for) with ordinality as k (project, place)
    order by s.id, k.project ->> 'media_type', (k.project ->> 'id')::integer, k.place
),
unchanged as (
    select count(*) as projects
    from listed l
    join tmdb_data.bridge_person_project b
        on b.person_id = l.person_id
        and b.media_type = l.media_type
        and b.project_id = l.project_id
    where b.project_title is not distinct from l.project_title
),
filled as (
    insert into tmdb_data.bridge_person_project as b (person_id, project_id, media_type, project_title)
    select * from listed
    on conflict (person_id, media_type, project_id) do update set
        project_title = excluded.project_title,
        last_updated = now()
    where b.project_title is distinct from excluded.project_title
    returning (b.xmax = 0) as is_new
)
select count(*) filter (where f.is_new) as inserted,
       count(*) filter (where not f.is_new) as updated,
       (select projects from unchanged) as unchanged
from filled f
