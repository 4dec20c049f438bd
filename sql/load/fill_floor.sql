-- Fills: floor with names that are not there yet.
-- Reads: staging_exhibition, whose floors are joined by "; ".
-- Twice is safe: only missing names are inserted, so no identity value is burnt; the unique name guards.
insert into floor (floor_name)
select distinct f.floor_name
from staging_exhibition s
cross join string_to_table(s.floor, '; ') as f (floor_name)
where not exists (select from floor known where known.floor_name = f.floor_name)
order by f.floor_name
on conflict (floor_name) do nothing
