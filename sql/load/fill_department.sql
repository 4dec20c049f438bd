-- Fills: department with names that are not there yet.
-- Reads: staging_exhibition.
-- Twice is safe: only missing names are inserted, so no identity value is burnt; the unique name guards.
insert into department (department_name)
select distinct s.department
from staging_exhibition s
where s.department is not null
  and not exists (select from department d where d.department_name = s.department)
order by s.department
on conflict (department_name) do nothing
