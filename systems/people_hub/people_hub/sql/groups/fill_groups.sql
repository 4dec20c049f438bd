-- Fills: silver.groups with the staged groups that are new or differ from what is stored.
-- Reads: staging_record.
-- Twice is safe: keyed by group_id; an equal one is not touched.
insert into silver.groups as t (
    group_id, group_name, ad_group_guid, mcommunity_gid, sam_account_name, distinguished_name, aliases, group_email,
    description, is_active, is_security_group, is_distribution_group, is_mcomm_adsync, is_private, is_members_only,
    is_joinable, expiry_timestamp, source_system, data_quality_score, quality_flags, entity_hash, ingestion_run_id
)
select group_id, group_name, ad_group_guid, mcommunity_gid, sam_account_name, distinguished_name, aliases,
       group_email, description, is_active, is_security_group, is_distribution_group, is_mcomm_adsync, is_private,
       is_members_only, is_joinable, expiry_timestamp, source_system, data_quality_score, quality_flags, entity_hash,
       %(run_id)s::uuid
from staging_record
where known_hash is distinct from entity_hash
on conflict (group_id) do update set
    group_name = excluded.group_name,
    ad_group_guid = excluded.ad_group_guid,
    mcommunity_gid = excluded.mcommunity_gid,
    sam_account_name = excluded.sam_account_name,
    distinguished_name = excluded.distinguished_name,
    aliases = excluded.aliases,
    group_email = excluded.group_email,
    description = excluded.description,
    is_active = excluded.is_active,
    is_security_group = excluded.is_security_group,
    is_distribution_group = excluded.is_distribution_group,
    is_mcomm_adsync = excluded.is_mcomm_adsync,
    is_private = excluded.is_private,
    is_members_only = excluded.is_members_only,
    is_joinable = excluded.is_joinable,
    expiry_timestamp = excluded.expiry_timestamp,
    source_system = excluded.source_system,
    data_quality_score = excluded.data_quality_score,
    quality_flags = excluded.quality_flags,
    entity_hash = excluded.entity_hash,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
