-- Fills: bronze.raw_entities with the staged versions and bronze.entity_heads with the newest of each key.
-- Reads: staging_version.
-- Twice is safe: only what classify_listing found new or changed is staged; a head moves with its version or not at all.
with stored as (
    insert into bronze.raw_entities (
        source_system, entity_type, external_id, raw_data, entity_hash, hash_version, ingestion_run_id, ingestion_metadata
    )
    select source_system, entity_type, external_id, raw_data, entity_hash, hash_version, %(run_id)s::uuid, ingestion_metadata
    from staging_version
    order by ord
    returning source_system, entity_type, external_id, raw_id, entity_hash, hash_version
),
newest as (
    select distinct on (source_system, entity_type, external_id) *
    from stored
    order by source_system, entity_type, external_id, raw_id desc
),
moved as (
    insert into bronze.entity_heads as h (
        source_system, entity_type, external_id, raw_id, entity_hash, hash_version, first_seen_at, last_changed_run
    )
    select source_system, entity_type, external_id, raw_id, entity_hash, hash_version, clock_timestamp(), %(run_id)s::uuid
    from newest
    on conflict (source_system, entity_type, external_id) do update
        set raw_id = excluded.raw_id,
            entity_hash = excluded.entity_hash,
            hash_version = excluded.hash_version,
            last_changed_run = excluded.last_changed_run,
            is_deleted = false
        where h.raw_id < excluded.raw_id
    returning 1
)
select count(*) from stored
