-- Fills: nothing; creates the TEMP table of the keys that this run's listing has named with a good record.
-- Reads: nothing.
-- Twice is safe: one a session, and a session is one run.
create temporary table seen_key (
    external_id text collate "C" primary key,
    entity_hash char(64) not null
)
