-- Fills: nothing; creates the TEMP table of the living records that a whole listing did not name.
-- Reads: nothing.
-- Twice is safe: one a session, and a session is one run.
create temporary table vanished_key (
    external_id text collate "C" primary key
)
