-- Reads: silver.groups, its source tables: a row a field with what each source says, who is asked first first.
-- The records of a source stand in the order in which a transform chooses one.
select f.field,
       case
           when f.field = 'members' then (
               select count(*)::text from silver.group_members g where g.group_id = s.group_id
           )
           else to_jsonb(s) ->> f.field
       end as value, f.said, s.data_quality_score, s.quality_flags
from silver.groups s
left join silver.mcommunity_groups m
    on m.external_id = s.mcommunity_gid
left join silver.ad_groups a
    on a.external_id = s.ad_group_guid
cross join lateral (
    values
        (1, 'group_name', array['active_directory', a.group_name::text, 'mcommunity_ldap', m.group_name::text]),
        (2, 'group_email', array[
            'mcommunity_ldap', case when s.group_email like m.email_name || '@%%' then s.group_email else m.email_name end,
            'active_directory', a.email_name
        ]),
        (3, 'description', array['mcommunity_ldap', m.description::text, 'active_directory', a.description::text]),
        (4, 'ad_group_guid', array['active_directory', a.ad_group_guid::text]),
        (5, 'mcommunity_gid', array['mcommunity_ldap', m.mcommunity_gid::text]),
        (6, 'distinguished_name', array['active_directory', a.distinguished_name::text, 'mcommunity_ldap', m.distinguished_name::text]),
        (7, 'is_security_group', array['active_directory', (a.group_type & 2147483648 <> 0)::text]),
        (8, 'is_private', array['mcommunity_ldap', m.is_private::text]),
        (9, 'is_members_only', array['mcommunity_ldap', m.is_members_only::text]),
        (10, 'is_joinable', array['mcommunity_ldap', m.is_joinable::text]),
        (11, 'members', array['mcommunity_ldap', cardinality(m.members)::text, 'active_directory', cardinality(a.members)::text]),
        (12, 'aliases', array['mcommunity_ldap', to_jsonb(m.aliases)::text]),
        (13, 'sam_account_name', array['active_directory', a.sam_account_name]),
        (14, 'is_distribution_group', array['active_directory', (a.group_type & 2147483648 = 0)::text]),
        (15, 'is_mcomm_adsync', array['active_directory', (a.distinguished_name ~ ',ou=mcommadsync,')::text]),
        (16, 'expiry_timestamp', array['mcommunity_ldap', to_jsonb(m) ->> 'expiry_timestamp']),
        (17, 'is_active', array['mcommunity_ldap', (not m.is_deleted)::text, 'active_directory', (not a.is_deleted)::text])
) f (place, field, said)
where s.group_id = %(key)s
order by f.place
