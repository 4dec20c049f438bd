-- Fills: nothing; whether the bridge says of the listed people what they are known for and nothing else, once both hold the same load.
-- Reads: staging.popular_people, tmdb_data.bridge_person_project, tmdb_data.loaded_day.
-- Twice is safe: it only reads.
select count(*) filter (where b.person_id is null or k.person_id is null) = 0
           or not coalesce((select d.run_id = s.run_id
                            from tmdb_data.loaded_day d, staging.popular_people s
                            where d.table_name = %(table)s
                            limit 1), false) as passed,
       exists (select from tmdb_data.loaded_day where table_name = %(table)s) as is_loaded,
       count(k.person_id) as named,
       count(*) filter (where b.person_id is null) as missing,
       count(*) filter (where k.person_id is null) as too_many
from (
    select distinct s.id as person_id, p ->> 'media_type' as media_type, (p ->> 'id')::integer as project_id
    from staging.popular_people s
    cross join lateral jsonb_array_elements(s.known_for) p
) k
full join (
    select b.*
    from tmdb_data.bridge_person_project b
    join staging.popular_people s on s.id = b.person_id and s.known_for is not null
) b
    on b.person_id = k.person_id
    and b.media_type = k.media_type
    and b.project_id = k.project_id
