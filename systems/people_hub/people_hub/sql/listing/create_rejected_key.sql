-- Fills: nothing; creates the TEMP table of the keys whose record this run rejected: they have not vanished.
-- Reads: nothing.
-- Twice is safe: one a session, and a session is one run.
create temporary table rejected_key (
    external_id text collate "C" primary key
)
