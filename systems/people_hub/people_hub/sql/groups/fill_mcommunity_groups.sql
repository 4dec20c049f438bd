-- Fills: silver.mcommunity_groups with what MCommunity says last of each stale group; its name is the first part of its dn.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
insert into silver.mcommunity_groups as t (
    external_id, mcommunity_gid, group_id, group_name, aliases, distinguished_name, email_name, description,
    is_private, is_members_only, is_joinable, expiry_timestamp, owners, members, direct_members, external_members,
    raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       s.external_id,
       silver.key_text(lower(silver.name_in_dn(silver.text_at(r.raw_data, 'dn')))),
       silver.name_in_dn(silver.text_at(r.raw_data, 'dn')),
       array(
           select one
           from unnest(silver.texts_at(r.raw_data, 'cn')) one
           where lower(one) <> lower(silver.name_in_dn(silver.text_at(r.raw_data, 'dn')))
           order by one collate "C"
       ),
       silver.canonical_dn(silver.text_at(r.raw_data, 'dn')),
       lower(silver.text_at(r.raw_data, 'umichGroupEmail')),
       silver.text_at(r.raw_data, 'umichDescription'),
       silver.truth_at(r.raw_data, 'umichPrivate'),
       silver.truth_at(r.raw_data, 'Membersonly'),
       silver.truth_at(r.raw_data, 'joinable'),
       silver.moment_of(silver.text_at(r.raw_data, 'umichExpiryTimestamp')),
       array(
           select distinct silver.canonical_dn(one) collate "C"
           from unnest(silver.texts_at(r.raw_data, 'owner')) one
           order by 1
       ),
       array(
           select distinct silver.canonical_dn(one) collate "C"
           from unnest(silver.texts_at(r.raw_data, 'member')) one
           order by 1
       ),
       array(
           select distinct silver.canonical_dn(one) collate "C"
           from unnest(
               silver.texts_at(r.raw_data, 'umichDirectMember') || silver.texts_at(r.raw_data, 'umichDirectGroupMember')
           ) one
           order by 1
       ),
       array(
           select distinct lower(one) collate "C"
           from unnest(silver.texts_at(r.raw_data, 'rfc822mail')) one
           order by 1
       ),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
where s.stream = 'mcommunity_ldap/group'
on conflict (external_id) do update set
    mcommunity_gid = excluded.mcommunity_gid,
    group_id = excluded.group_id,
    group_name = excluded.group_name,
    aliases = excluded.aliases,
    distinguished_name = excluded.distinguished_name,
    email_name = excluded.email_name,
    description = excluded.description,
    is_private = excluded.is_private,
    is_members_only = excluded.is_members_only,
    is_joinable = excluded.is_joinable,
    expiry_timestamp = excluded.expiry_timestamp,
    owners = excluded.owners,
    members = excluded.members,
    direct_members = excluded.direct_members,
    external_members = excluded.external_members,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
