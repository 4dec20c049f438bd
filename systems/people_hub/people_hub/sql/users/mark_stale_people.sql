-- Fills: dirty_key with the people of stale records; run before these are read anew and after, so that who moves is marked twice.
-- Reads: staging_stale_head and the source tables of people.
-- Twice is safe: a key is marked once. When all are built anew there is nothing to mark.
insert into dirty_key (record_key)
select t.uniqname
from staging_stale_head s
join silver.umapi_employees t using (external_id)
where s.stream = 'umich_api/user' and t.uniqname is not null and not %(is_whole)s
union
select t.uniqname
from staging_stale_head s
join silver.mcommunity_users t using (external_id)
where s.stream = 'mcommunity_ldap/user' and t.uniqname is not null and not %(is_whole)s
union
select t.uniqname
from staging_stale_head s
join silver.ad_users t using (external_id)
where s.stream = 'active_directory/user' and t.uniqname is not null and not %(is_whole)s
union
select t.uniqname
from staging_stale_head s
join silver.tdx_users t using (external_id)
where s.stream = 'tdx/user' and t.uniqname is not null and not %(is_whole)s
on conflict (record_key) do nothing
