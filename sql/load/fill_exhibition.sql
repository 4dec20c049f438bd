-- Fills: exhibition with new ones; the id is computed from the code's number, never from the order of insertion.
-- Reads: staging_exhibition, department.
-- Twice is safe: the id is the primary key.
insert into exhibition (exhibition_id, exhibition_code, exhibition_name, start_date, department_id, description)
select site_exhibition_id(s.site), s.exhibition_code, s.exhibition_name, s.start_date, d.department_id, s.description
from staging_exhibition s
left join department d on d.department_name = s.department
on conflict (exhibition_id) do nothing
