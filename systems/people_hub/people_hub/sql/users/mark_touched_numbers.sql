-- Fills: touched_number with the employee numbers of stale records, which may give others their uniqname; run before and after.
-- Reads: staging_stale_head, silver.umapi_employees, silver.tdx_users.
-- Twice is safe: a number is marked once. When all are built anew there is nothing to mark.
insert into touched_number (empl_id)
select t.empl_id
from staging_stale_head s
join silver.umapi_employees t using (external_id)
where s.stream = 'umich_api/user' and t.empl_id is not null and not %(is_whole)s
union
select t.external_number
from staging_stale_head s
join silver.tdx_users t using (external_id)
where s.stream = 'tdx/user' and t.external_number is not null and not %(is_whole)s
on conflict (empl_id) do nothing
