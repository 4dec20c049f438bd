-- Fills: department, floor, exhibition and floor_assignment, which follow the described exhibitions.
-- Reads: staging_exhibition, whose floors are joined by "; ".
-- Twice is safe: only missing names are inserted, so no identity value is burnt; an exhibition's id is computed from its code,
-- never from the order of insertion; what is equal is left alone.
insert into department (department_name)
select distinct s.department
from staging_exhibition s
where s.department is not null
  and not exists (select from department d where d.department_name = s.department)
order by s.department
on conflict (department_name) do nothing;

insert into floor (floor_name)
select distinct f.floor_name
from staging_exhibition s
cross join string_to_table(s.floor, '; ') as f (floor_name)
where not exists (select from floor known where known.floor_name = f.floor_name)
order by f.floor_name
on conflict (floor_name) do nothing;

-- Not "on conflict do update", which locks every row so that live inserts would wait for the end of the load.
update exhibition e
set exhibition_code = s.exhibition_code,
    exhibition_name = s.exhibition_name,
    start_date = s.start_date,
    department_id = d.department_id,
    description = s.description
from staging_exhibition s
left join department d on d.department_name = s.department
where e.exhibition_id = site_exhibition_id(s.site)
  and (e.exhibition_code, e.exhibition_name, e.start_date, e.department_id, e.description)
      is distinct from (s.exhibition_code, s.exhibition_name, s.start_date, d.department_id, s.description);

insert into exhibition (exhibition_id, exhibition_code, exhibition_name, start_date, department_id, description)
select site_exhibition_id(s.site), s.exhibition_code, s.exhibition_name, s.start_date, d.department_id, s.description
from staging_exhibition s
left join department d on d.department_name = s.department
on conflict (exhibition_id) do nothing;

delete from floor_assignment a
using staging_exhibition s
where a.exhibition_id = site_exhibition_id(s.site)
  and not exists (
      select
      from floor f
      where f.floor_id = a.floor_id
        and f.floor_name = any (string_to_array(s.floor, '; '))
  );

insert into floor_assignment (exhibition_id, floor_id)
select site_exhibition_id(s.site), f.floor_id
from staging_exhibition s
join floor f on f.floor_name = any (string_to_array(s.floor, '; '))
on conflict (exhibition_id, floor_id) do nothing
