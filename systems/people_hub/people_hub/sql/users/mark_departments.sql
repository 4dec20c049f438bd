-- Fills: dirty_key with the people who name a department that came, went, was renamed, or has another code in TeamDynamix.
-- Reads: silver.departments, silver.tdx_departments, silver.known_departments, silver.known_accounts, the source tables of people.
-- Twice is safe: a key is marked once. When all are built anew there is nothing to mark.
insert into dirty_key (record_key)
with renamed as (
    select dept_id
    from silver.departments d
    full join silver.known_departments k using (dept_id)
    where d.dept_id is null or k.dept_id is null or d.department_name is distinct from k.department_name
),
account as (
    select distinct on (tdx_id) tdx_id, dept_id
    from silver.tdx_departments
    where tdx_id is not null and dept_id is not null
    order by tdx_id, is_deleted, external_id
),
moved as (
    select tdx_id
    from account a
    full join silver.known_accounts k using (tdx_id)
    where a.dept_id is distinct from k.dept_id
    union
    select a.tdx_id
    from account a
    join renamed using (dept_id)
)
select e.uniqname
from renamed r
join silver.umapi_employees e on e.department_id = r.dept_id
where e.uniqname is not null and not %(is_whole)s
union
select t.uniqname
from moved m
join silver.tdx_users t on t.default_account_id = m.tdx_id
where t.uniqname is not null and not %(is_whole)s
on conflict (record_key) do nothing
