-- Fills: nothing; deletes from silver.known_accounts what the people are no longer built upon.
-- Reads: silver.tdx_departments.
-- Twice is safe: the second time finds none.
delete from silver.known_accounts k
where not exists (select from silver.tdx_departments t where t.tdx_id = k.tdx_id and t.dept_id is not null)
