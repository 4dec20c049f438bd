-- Fills: nothing; creates the TEMP table through which new versions reach bronze.
-- Reads: nothing.
-- Twice is safe: one a session, empty again after every transaction.
create temporary table if not exists staging_version (
    ord                integer not null,
    source_system      text not null,
    entity_type        text not null,
    external_id        text collate "C" not null,
    entity_hash        char(64) not null,
    hash_version       smallint not null,
    raw_data           jsonb not null,
    ingestion_metadata jsonb not null
) on commit delete rows
