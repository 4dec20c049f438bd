-- Fills: dirty_key with everybody who is stored or named by a source; on a full sync, or when a rule has changed.
-- Reads: silver.users, the source tables of people.
-- Twice is safe: a key is marked once.
insert into dirty_key (record_key)
select uniqname
from (
    select uniqname from silver.users
    union
    select uniqname from silver.umapi_employees
    union
    select uniqname from silver.mcommunity_users
    union
    select uniqname from silver.ad_users
    union
    select uniqname from silver.tdx_users
) everybody
where uniqname is not null and %(is_whole)s
on conflict (record_key) do nothing
