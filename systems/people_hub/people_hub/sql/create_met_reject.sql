-- Fills: nothing; creates the TEMP table of the positions that this run rejected.
-- Reads: nothing.
-- Twice is safe: one a session, and a session is one run.
create temporary table met_reject (
    position text primary key
)
