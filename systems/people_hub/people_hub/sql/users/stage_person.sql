-- Fills: the TEMP table staging_person with the marked people whom any record names, and whether any of these records lives.
-- Reads: dirty_key and the source tables of people.
-- Twice is safe: one a transaction.
create temporary table staging_person on commit drop as
select uniqname, not bool_and(is_deleted) as is_living
from (
    select t.uniqname, t.is_deleted from silver.umapi_employees t join dirty_key d on d.record_key = t.uniqname
    union all
    select t.uniqname, t.is_deleted from silver.mcommunity_users t join dirty_key d on d.record_key = t.uniqname
    union all
    select t.uniqname, t.is_deleted from silver.ad_users t join dirty_key d on d.record_key = t.uniqname
    union all
    select t.uniqname, t.is_deleted from silver.tdx_users t join dirty_key d on d.record_key = t.uniqname
) every
group by uniqname
