-- Fills: staging_reject with living records of groups, stale ones, that give no name.
-- Reads: staging_stale_head, silver.mcommunity_groups, silver.ad_groups, bronze.raw_entities.
-- Twice is safe: kept once at its position. A group that lost a conflict of names is nobody, and no reject.
insert into staging_reject (source, position, raw, reasons)
select 'silver/group',
       s.stream || ' ' || s.external_id,
       convert_to(r.raw_data::text, 'UTF8'),
       array['missing_key']
from staging_stale_head s
join bronze.raw_entities r on r.raw_id = s.content_raw_id
left join silver.mcommunity_groups m on s.stream = 'mcommunity_ldap/group' and m.external_id = s.external_id
left join silver.ad_groups a on s.stream = 'active_directory/group' and a.external_id = s.external_id
where not s.is_deleted
  and coalesce(m.group_name, a.group_name) is null
