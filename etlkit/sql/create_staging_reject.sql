-- Fills: nothing; creates the TEMP table that bad records pass through on their way to meta.rejected_records.
-- Reads: nothing.
-- Twice is safe: one a session, empty again after every transaction, so that a stream leaves no litter in the catalog.
create temporary table if not exists staging_reject (
    source   text not null,
    position text not null,
    raw      bytea not null,
    reasons  text[] not null
) on commit delete rows
