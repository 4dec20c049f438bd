-- Fills: floor_assignment, one row for each exhibition and floor.
-- Reads: staging_exhibition, floor.
-- Twice is safe: the pair is the primary key.
insert into floor_assignment (exhibition_id, floor_id)
select site_exhibition_id(s.site), f.floor_id
from staging_exhibition s
join floor f on f.floor_name = any (string_to_array(s.floor, '; '))
on conflict (exhibition_id, floor_id) do nothing
