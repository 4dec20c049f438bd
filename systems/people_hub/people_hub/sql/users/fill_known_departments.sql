-- Fills: silver.known_departments: the names by which the people have just been built.
-- Reads: silver.departments.
-- Twice is safe: keyed by code; an equal one is not touched.
insert into silver.known_departments as k (dept_id, department_name)
select d.dept_id, d.department_name
from silver.departments d
left join silver.known_departments known using (dept_id)
where known.dept_id is null or known.department_name is distinct from d.department_name
on conflict (dept_id) do update set department_name = excluded.department_name
