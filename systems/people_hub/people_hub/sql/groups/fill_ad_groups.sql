-- Fills: silver.ad_groups with what the Active Directory says last of each stale group; one that lost a conflict has no name.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
insert into silver.ad_groups as t (
    external_id, ad_group_guid, group_id, group_name, distinguished_name, sam_account_name, email_name,
    description, group_type, gid_number, managed_by, members, raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       s.external_id,
       case when silver.text_at(r.raw_data, 'dn') !~ 'CNF:' then silver.key_text(lower(silver.name_in_dn(silver.text_at(r.raw_data, 'dn')))) end,
       silver.name_in_dn(silver.text_at(r.raw_data, 'dn')),
       silver.canonical_dn(silver.text_at(r.raw_data, 'dn')),
       silver.text_at(r.raw_data, 'sAMAccountName'),
       lower(silver.text_at(r.raw_data, 'mail')),
       silver.text_at(r.raw_data, 'description'),
       silver.number_at(r.raw_data, 'groupType'),
       silver.text_at(r.raw_data, 'gidNumber'),
       silver.canonical_dn(silver.text_at(r.raw_data, 'managedBy')),
       array(
           select distinct silver.canonical_dn(one) collate "C"
           from unnest(silver.texts_at(r.raw_data, 'member')) one
           order by 1
       ),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
where s.stream = 'active_directory/group'
on conflict (external_id) do update set
    ad_group_guid = excluded.ad_group_guid,
    group_id = excluded.group_id,
    group_name = excluded.group_name,
    distinguished_name = excluded.distinguished_name,
    sam_account_name = excluded.sam_account_name,
    email_name = excluded.email_name,
    description = excluded.description,
    group_type = excluded.group_type,
    gid_number = excluded.gid_number,
    managed_by = excluded.managed_by,
    members = excluded.members,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
