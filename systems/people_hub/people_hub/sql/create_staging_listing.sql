-- Fills: nothing; creates the TEMP table through which a page's keys and hashes meet the heads.
-- Reads: nothing.
-- Twice is safe: one a session, empty again after every transaction.
create temporary table if not exists staging_listing (
    ord         integer not null,
    external_id text collate "C" not null,
    entity_hash char(64) not null
) on commit delete rows
