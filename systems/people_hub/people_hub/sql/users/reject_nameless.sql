-- Fills: staging_reject with living records of people, stale ones, that give no uniqname; UMAPI's stay in their table, counted.
-- Reads: staging_stale_head, silver.mcommunity_users, silver.ad_users, silver.tdx_users, bronze.raw_entities.
-- Twice is safe: kept once at its position.
insert into staging_reject (source, position, raw, reasons)
select 'silver/user',
       s.stream || ' ' || s.external_id,
       convert_to(r.raw_data::text, 'UTF8'),
       array['missing_key']
from staging_stale_head s
join bronze.raw_entities r on r.raw_id = s.content_raw_id
left join silver.mcommunity_users m on s.stream = 'mcommunity_ldap/user' and m.external_id = s.external_id
left join silver.ad_users a on s.stream = 'active_directory/user' and a.external_id = s.external_id
left join silver.tdx_users t on s.stream = 'tdx/user' and t.external_id = s.external_id
where s.stream <> 'umich_api/user'
  and not s.is_deleted
  and coalesce(m.uniqname, a.uniqname, t.uniqname) is null
  and coalesce(a.is_person, true)
