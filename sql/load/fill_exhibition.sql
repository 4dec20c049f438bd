-- Fills: exhibition; its id is computed from the code's number, never from the order of insertion.
-- Reads: staging_exhibition, department.
-- Twice is safe: an equal row is left alone, a changed description follows the data.
insert into exhibition as e (exhibition_id, exhibition_code, exhibition_name, start_date, department_id, description)
select site_exhibition_id(s.site), s.exhibition_code, s.exhibition_name, s.start_date, d.department_id, s.description
from staging_exhibition s
left join department d on d.department_name = s.department
on conflict (exhibition_id) do update
    set exhibition_code = excluded.exhibition_code,
        exhibition_name = excluded.exhibition_name,
        start_date = excluded.start_date,
        department_id = excluded.department_id,
        description = excluded.description
    where (e.exhibition_code, e.exhibition_name, e.start_date, e.department_id, e.description)
        is distinct from (excluded.exhibition_code, excluded.exhibition_name, excluded.start_date,
                          excluded.department_id, excluded.description)
