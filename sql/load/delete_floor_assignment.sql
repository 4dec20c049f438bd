-- Fills: nothing; deletes floors that a described exhibition has left.
-- Reads: staging_exhibition, floor.
-- Twice is safe: the second time finds nothing.
delete from floor_assignment a
using staging_exhibition s
where a.exhibition_id = site_exhibition_id(s.site)
  and not exists (
      select
      from floor f
      where f.floor_id = a.floor_id
        and f.floor_name = any (string_to_array(s.floor, '; '))
  )
