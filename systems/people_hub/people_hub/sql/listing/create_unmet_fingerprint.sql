-- Fills: nothing; creates the TEMP table of the heads' fingerprints that no listed record met.
-- Reads: nothing.
-- Twice is safe: one a session, and a session is one run.
create temporary table unmet_fingerprint (
    fingerprint bytea not null
)
