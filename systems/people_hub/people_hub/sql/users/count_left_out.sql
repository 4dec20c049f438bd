-- Reads: silver.umapi_employees, silver.ad_users.
select 'appointments without uniqname' as what, count(*) from silver.umapi_employees where uniqname is null and not is_deleted
union all
select 'Active Directory objects that are no person', count(*) from silver.ad_users where not is_person and not is_deleted
