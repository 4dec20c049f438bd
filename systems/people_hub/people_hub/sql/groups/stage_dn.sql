-- Fills: the TEMP table staging_dn: who stands behind a distinguished name, of those whom silver knows.
-- Reads: silver.users, silver.mcommunity_users, silver.ad_users, silver.mcommunity_groups, silver.ad_groups, staging_group.
-- Twice is safe: one a transaction; who lives comes first.
create temporary table staging_dn on commit drop as
select distinct on (source_system, dn) source_system, dn, member_type, member_key
from (
    select 'mcommunity_ldap' as source_system, m.distinguished_name as dn, 'user' as member_type, m.uniqname as member_key,
           m.is_deleted, m.external_id
    from silver.mcommunity_users m
    join silver.users u using (uniqname)
    union all
    select 'active_directory', a.distinguished_name, 'user', a.uniqname, a.is_deleted, a.external_id
    from silver.ad_users a
    join silver.users u using (uniqname)
    union all
    select 'mcommunity_ldap', m.distinguished_name, 'group', coalesce(g.group_id, m.group_id), m.is_deleted, m.external_id
    from silver.mcommunity_groups m
    left join staging_group g on g.mcommunity_key = m.external_id
    where m.group_id is not null
      and coalesce(g.group_id, m.group_id) in (select group_id from staging_group)
    union all
    select 'active_directory', a.distinguished_name, 'group', a.group_id, a.is_deleted, a.external_id
    from silver.ad_groups a
    where a.group_id in (select group_id from staging_group)
) every
where dn is not null
order by source_system, dn, is_deleted, member_type, external_id
