-- Fills: the TEMP table staging_record with every group as the directories say now.
-- Reads: staging_group, staging_member, silver.mcommunity_groups, silver.ad_groups, silver.groups (what is stored).
-- Twice is safe: one a transaction; the same sources give the same rows.
create temporary table staging_record on commit drop as
with role as (
    select group_id,
           bool_or(role = 'member') as has_members,
           bool_or(role = 'owner' and member_type = 'unknown') as has_unknown_owner
    from staging_member
    group by group_id
),
source as (
    select g.*,
           m.external_id is not null as has_mcommunity,
           a.external_id is not null as has_ad,
           m.email_name as mcommunity_name,
           case
               when m.email_name like '%%@%%' then m.email_name
               else m.email_name || '@' || lower(%(hub_mail_domain)s::text)  -- null without a domain
           end as mcommunity_email,
           a.email_name as ad_email,
           array(select address from unnest(m.external_members) address where not silver.is_email(address)) as bad_members
    from staging_group g
    left join silver.mcommunity_groups m on m.external_id = g.mcommunity_key and not (m.is_deleted and g.is_living)
    left join silver.ad_groups a on a.external_id = g.ad_key and not (a.is_deleted and g.is_living)
),
merged as (
    select s.group_id,
           coalesce(a.group_name, m.group_name) as group_name,
           a.ad_group_guid,
           m.mcommunity_gid,
           a.sam_account_name,
           coalesce(a.distinguished_name, m.distinguished_name) as distinguished_name,
           coalesce(m.aliases, '{}') as aliases,
           coalesce(
               case when silver.is_email(s.mcommunity_email) then s.mcommunity_email end,
               case when silver.is_email(s.ad_email) then s.ad_email end
           ) as group_email,
           coalesce(m.description, a.description) as description,
           s.is_living as is_active,
           a.group_type & 2147483648 <> 0 as is_security_group,
           a.group_type & 2147483648 = 0 as is_distribution_group,
           a.distinguished_name ~ ',ou=mcommadsync,' as is_mcomm_adsync,
           m.is_private,
           m.is_members_only,
           m.is_joinable,
           m.expiry_timestamp,
           case when s.is_living then concat_ws(
               '+',
               case when s.has_ad then 'active_directory' end,
               case when s.has_mcommunity then 'mcommunity_ldap' end
           ) else '' end as source_system,
           array_remove(array[
               case when s.is_living and m.description <> a.description then 'description_mismatch' end,
               case when s.is_ad_duplicate then 'duplicate_ad_record' end,
               case when s.is_mcommunity_duplicate then 'duplicate_mcommunity_record' end,
               case when s.is_living and s.mcommunity_email <> s.ad_email
                         and silver.is_email(s.mcommunity_email) and silver.is_email(s.ad_email)
                    then 'email_mismatch' end,
               case when r.has_unknown_owner then 'invalid_owner_reference' end,
               case when s.is_living and not silver.is_email(s.ad_email) then 'malformed_email_active_directory' end,
               case when s.is_living and (not silver.is_email(s.mcommunity_email) or s.bad_members <> '{}')
                    then 'malformed_email_mcommunity_ldap' end,
               case when not s.has_ad or not s.is_living then 'missing_active_directory_source' end,
               case when coalesce(m.description, a.description) is null then 'missing_description' end,
               case when s.has_mcommunity
                         and not coalesce(silver.is_email(s.mcommunity_email), false)
                         and not coalesce(silver.is_email(s.ad_email), false) then 'missing_email' end,
               case when not s.has_mcommunity or not s.is_living then 'missing_mcommunity_ldap_source' end,
               case when not s.is_living then 'no_live_source' end,
               case when not coalesce(r.has_members, false) then 'no_members' end
           ], null) as flags,
           case when s.is_living and (
                    not silver.is_email(s.ad_email) or not silver.is_email(s.mcommunity_email) or s.bad_members <> '{}'
                )
               then jsonb_strip_nulls(jsonb_build_object(
                   'active_directory', case when not silver.is_email(s.ad_email) then s.ad_email end,
                   'mcommunity_ldap', case when not silver.is_email(s.mcommunity_email) then s.mcommunity_email end,
                   'external members', case when s.bad_members <> '{}' then to_jsonb(s.bad_members) end
               ))
           end as malformed
    from source s
    left join silver.mcommunity_groups m on m.external_id = s.mcommunity_key and s.has_mcommunity
    left join silver.ad_groups a on a.external_id = s.ad_key and s.has_ad
    left join role r on r.group_id = s.group_id
)
select m.group_id as record_key,
       known.entity_hash as known_hash,
       encode(sha256(convert_to(row(  -- all but what was malformed
               m.group_id, m.group_name, m.ad_group_guid, m.mcommunity_gid, m.sam_account_name,
               m.distinguished_name, m.aliases, m.group_email, m.description, m.is_active, m.is_security_group,
               m.is_distribution_group, m.is_mcomm_adsync, m.is_private, m.is_members_only, m.is_joinable,
               m.expiry_timestamp, m.source_system, m.flags,
               silver.quality_score(m.flags)
           )::text, 'UTF8')), 'hex')::char(64) as entity_hash,
       silver.quality_score(m.flags) as data_quality_score,
       to_jsonb(m.flags) as quality_flags,
       m.*
from merged m
left join silver.groups known using (group_id)
