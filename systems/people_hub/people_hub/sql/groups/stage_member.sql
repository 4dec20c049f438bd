-- Fills: the TEMP table staging_member with the members that the groups' own lists name, and their owners.
-- Reads: staging_group, staging_dn, silver.mcommunity_groups, silver.ad_groups.
-- Twice is safe: one a transaction; of sources that are gone only where none lives.
create temporary table staging_member on commit drop as
with listed as (
    select g.group_id, 'mcommunity_ldap' as source_system, 'member' as role, dn, dn = any (m.direct_members) as is_direct
    from staging_group g
    join silver.mcommunity_groups m on m.external_id = g.mcommunity_key and not (m.is_deleted and g.is_living)
    cross join lateral (select unnest(m.members) union select unnest(m.direct_members)) d (dn)
    union all
    select g.group_id, 'mcommunity_ldap', 'owner', dn, true
    from staging_group g
    join silver.mcommunity_groups m on m.external_id = g.mcommunity_key and not (m.is_deleted and g.is_living)
    cross join lateral unnest(m.owners) dn
    union all
    select g.group_id, 'active_directory', 'member', dn, true
    from staging_group g
    join silver.ad_groups a on a.external_id = g.ad_key and not (a.is_deleted and g.is_living)
    cross join lateral unnest(a.members) dn
    union all
    select g.group_id, 'active_directory', 'owner', a.managed_by, true
    from staging_group g
    join silver.ad_groups a on a.external_id = g.ad_key and not (a.is_deleted and g.is_living)
    where a.managed_by is not null
)
select l.group_id,
       l.role,
       coalesce(k.member_type, 'unknown') as member_type,
       coalesce(k.member_key, silver.key_text(l.dn)) as member_key,
       l.source_system,
       bool_or(l.is_direct) as is_direct
from listed l
left join staging_dn k on k.source_system = l.source_system and k.dn = l.dn
group by 1, 2, 3, 4, 5
union all
select g.group_id, 'member', 'external', silver.key_text(address), 'mcommunity_ldap', true
from staging_group g
join silver.mcommunity_groups m on m.external_id = g.mcommunity_key and not (m.is_deleted and g.is_living)
cross join lateral unnest(m.external_members) address
where silver.is_email(address)
