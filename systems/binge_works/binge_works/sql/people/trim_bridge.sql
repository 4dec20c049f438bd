-- Fills: tmdb_data.bridge_person_project: what the people of this list are not known for any more goes; who is not in the list keeps his.
-- Reads: staging.popular_people, tmdb_data.bridge_person_project.
-- Twice is safe: what is gone is gone.
delete from tmdb_data.bridge_person_project b
using staging.popular_people s
where b.person_id = s.id
  and s.known_for is not null
  and not exists (
      select
      from jsonb_array_elements(s.known_for) k
      where (k ->> 'media_type', (k ->> 'id')::integer) = (b.media_type, b.project_id)
  )
