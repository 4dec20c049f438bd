-- Fills: exhibition, whose descriptions follow the data.
-- Reads: staging_exhibition, department.
-- Twice is safe: an equal row is left alone.
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
      is distinct from (s.exhibition_code, s.exhibition_name, s.start_date, d.department_id, s.description)
