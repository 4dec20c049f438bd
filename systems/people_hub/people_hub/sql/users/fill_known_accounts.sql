-- Fills: silver.known_accounts: TeamDynamix's numbers of departments by which the people have just been built.
-- Reads: silver.tdx_departments.
-- Twice is safe: keyed by number; an equal one is not touched.
insert into silver.known_accounts as k (tdx_id, dept_id)
select a.tdx_id, a.dept_id
from (
    select distinct on (tdx_id) tdx_id, dept_id
    from silver.tdx_departments
    where tdx_id is not null and dept_id is not null
    order by tdx_id, is_deleted, external_id
) a
left join silver.known_accounts known using (tdx_id)
where known.dept_id is distinct from a.dept_id
on conflict (tdx_id) do update set dept_id = excluded.dept_id
