-- Fills: the TEMP table staging_stale_head with the heads of people that the source tables were not made from; all on a full sync.
-- Reads: bronze.entity_heads, bronze.raw_entities (what a deleted record last said), silver.umapi_employees, silver.mcommunity_users, silver.ad_users, silver.tdx_users.
-- Twice is safe: one a transaction; versions are compared, no clock.
create temporary table staging_stale_head on commit drop as
select 'umich_api/user' as stream,
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
left join silver.umapi_employees t on t.raw_id = h.raw_id
where h.source_system = 'umich_api'
  and h.entity_type = 'user'
  and (%(is_whole)s or t.raw_id is null)
union all
select 'mcommunity_ldap/user',
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
left join silver.mcommunity_users t on t.raw_id = h.raw_id
where h.source_system = 'mcommunity_ldap'
  and h.entity_type = 'user'
  and (%(is_whole)s or t.raw_id is null)
union all
select 'active_directory/user',
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
left join silver.ad_users t on t.raw_id = h.raw_id
where h.source_system = 'active_directory'
  and h.entity_type = 'user'
  and (%(is_whole)s or t.raw_id is null)
union all
select 'tdx/user',
       h.external_id,
       h.raw_id,
       d.raw_id,
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
       case
           when not d.is_deleted then d.raw_id
           else (select max(r.raw_id)
                 from bronze.raw_entities r
                 where r.external_id = d.external_id
                   and r.entity_type = d.entity_type
                   and r.source_system = d.source_system
                   and not r.is_tombstone)
       end
from bronze.entity_heads h
left join bronze.entity_heads d
    on d.external_id = h.external_id
    and d.source_system = 'tdx'
    and d.entity_type = 'user_detail'
left join silver.tdx_users t
    on t.raw_id = h.raw_id
    and t.detail_raw_id is not distinct from d.raw_id
where h.source_system = 'tdx'
  and h.entity_type = 'user'
  and (%(is_whole)s or t.raw_id is null)
