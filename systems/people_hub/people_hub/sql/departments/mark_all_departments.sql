-- Fills: dirty_key with every department that is stored or named by a source.
-- Reads: silver.departments, silver.umapi_departments, silver.tdx_departments.
-- Twice is safe: a key is marked once.
insert into dirty_key (record_key)
select dept_id from silver.departments
union
select dept_id from silver.umapi_departments where dept_id is not null
union
select dept_id from silver.tdx_departments where dept_id is not null
on conflict (record_key) do nothing
