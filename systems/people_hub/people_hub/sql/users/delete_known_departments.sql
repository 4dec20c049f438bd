-- Fills: nothing; deletes from silver.known_departments what the people are no longer built upon.
-- Reads: silver.departments.
-- Twice is safe: the second time finds none.
delete from silver.known_departments k
where not exists (select from silver.departments d where d.dept_id = k.dept_id)
