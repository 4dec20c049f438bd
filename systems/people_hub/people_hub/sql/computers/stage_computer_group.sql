-- Fills: the TEMP table staging_computer_group with the directory groups whose lists name a computer.
-- Reads: staging_computer, silver.ad_computers, silver.ad_groups, silver.groups.
-- Twice is safe: one a transaction. A group that is gone names nobody.
create temporary table staging_computer_group on commit drop as
select c.computer_uid, silver.key_text(g.distinguished_name) as group_dn, min(s.group_id) as group_id
from staging_computer c
join silver.ad_computers a on a.external_id = c.ad_key and not a.is_deleted
join (
    select distinguished_name, group_id, unnest(members) as dn
    from silver.ad_groups
    where not is_deleted and distinguished_name is not null
) g on g.dn = a.distinguished_name
left join silver.groups s using (group_id)
group by c.computer_uid, silver.key_text(g.distinguished_name)
