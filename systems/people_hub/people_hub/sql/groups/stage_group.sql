-- Fills: the TEMP table staging_group: which record of each directory stands for a group; they meet by name, else by gidNumber.
-- Reads: silver.mcommunity_groups, silver.ad_groups.
-- Twice is safe: one a transaction; of several records the living one of the lowest key stands.
create temporary table staging_group on commit drop as
with ad as (
    select distinct on (group_id) group_id, external_id, gid_number, is_deleted,
           count(*) filter (where not is_deleted) over (partition by group_id) > 1 as is_duplicate
    from silver.ad_groups
    where group_id is not null
    order by group_id, is_deleted, length(external_id), external_id
),
mcommunity as (
    select distinct on (group_id) group_id, external_id, is_deleted,
           count(*) filter (where not is_deleted) over (partition by group_id) > 1 as is_duplicate
    from silver.mcommunity_groups
    where group_id is not null
    order by group_id, is_deleted, length(external_id), external_id
),
by_number as (
    select distinct on (a.gid_number, a.is_deleted) a.gid_number, a.group_id, a.is_deleted
    from ad a
    where a.gid_number is not null
      and not exists (select from mcommunity m where m.group_id = a.group_id)
    order by a.gid_number, a.is_deleted, a.group_id
),
met as (
    select coalesce(a.group_id, n.group_id, m.group_id) as group_id, m.external_id, m.is_deleted, m.is_duplicate
    from mcommunity m
    left join ad a using (group_id)
    left join by_number n on n.gid_number = m.external_id and n.is_deleted = m.is_deleted and a.group_id is null
)
select group_id,
       m.external_id as mcommunity_key,
       a.external_id as ad_key,
       coalesce(m.is_duplicate, false) as is_mcommunity_duplicate,
       coalesce(a.is_duplicate, false) as is_ad_duplicate,
       coalesce(not m.is_deleted, false) or coalesce(not a.is_deleted, false) as is_living
from met m
full join ad a using (group_id)
