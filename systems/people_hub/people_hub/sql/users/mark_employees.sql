-- Fills: dirty_key with the people of the touched employee numbers, and with those whom these supervise.
-- Reads: touched_number, silver.umapi_employees.
-- Twice is safe: a key is marked once. When all are built anew there is nothing to mark.
insert into dirty_key (record_key)
select e.uniqname
from touched_number n
join silver.umapi_employees e using (empl_id)
where e.uniqname is not null and not %(is_whole)s
union
select e.uniqname
from touched_number n
join silver.umapi_employees e on e.supervisor_id = n.empl_id
where e.uniqname is not null and not %(is_whole)s
on conflict (record_key) do nothing
