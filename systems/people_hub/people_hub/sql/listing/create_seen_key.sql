-- Fills: nothing; creates the TEMP table of the keys of good records that no head's fingerprint recognised.
-- Reads: nothing.
-- Twice is safe: one a session, and a session is one run.
create temporary table seen_key (
    external_id text collate "C" primary key,
    entity_hash char(64) not null
)
