-- Fills: staging_reject with living records of people, stale ones, that give no uniqname; UMAPI's stay in their table, counted.
-- Reads: staging_stale_head, silver.mcommunity_users, silver.ad_users, silver.tdx_users, bronze.raw_entities.
-- Twice is safe: kept once at its position.
insert into staging_reject (source, position, raw, reasons)
select 'silver/user', n.stream || ' ' || n.external_id, convert_to(r.raw_data::text, 'UTF8'), array['missing_key']
from (
    select 'mcommunity_ldap/user' as stream, external_id from silver.mcommunity_users where uniqname is null
    union all
    select 'active_directory/user', external_id from silver.ad_users where uniqname is null and is_person
    union all
    select 'tdx/user', external_id from silver.tdx_users where uniqname is null
) n
join staging_stale_head s using (stream, external_id)
join bronze.raw_entities r on r.raw_id = s.content_raw_id
where not s.is_deleted
