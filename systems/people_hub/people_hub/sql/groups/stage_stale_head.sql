-- Fills: the TEMP table staging_stale_head with the heads of groups that the source tables were not made from; all on a full sync.
-- Reads: bronze.entity_heads, bronze.raw_entities (what a deleted record last said), silver.mcommunity_groups, silver.ad_groups.
-- Twice is safe: one a transaction; versions are compared, no clock.
create temporary table staging_stale_head on commit drop as
select 'mcommunity_ldap/group' as stream,
       h.external_id,
       h.raw_id,
       null::bigint as detail_raw_id,
       h.is_deleted,
       case
           when not h.is_deleted then h.raw_id
           else (select max(r.raw_id)
                 from bronze.raw_entities r
                 where r.external_id = h.external_id
                   and r.entity_type = h.entity_type
                   and r.source_system = h.source_system
                   and not r.is_tombstone)
       end as content_raw_id,
       null::bigint as detail_content_raw_id
from bronze.entity_heads h
left join silver.mcommunity_groups t on t.raw_id = h.raw_id
where h.source_system = 'mcommunity_ldap'
  and h.entity_type = 'group'
  and (%(is_whole)s or t.raw_id is null)
union all
select 'active_directory/group',
       h.external_id,
       h.raw_id,
       null::bigint,
       h.is_deleted,
       case
           when not h.is_deleted then h.raw_id
           else (select max(r.raw_id)
                 from bronze.raw_entities r
                 where r.external_id = h.external_id
                   and r.entity_type = h.entity_type
                   and r.source_system = h.source_system
                   and not r.is_tombstone)
       end,
       null::bigint
from bronze.entity_heads h
left join silver.ad_groups t on t.raw_id = h.raw_id
where h.source_system = 'active_directory'
  and h.entity_type = 'group'
  and (%(is_whole)s or t.raw_id is null)
