-- Fills: nothing; creates the TEMP table that bad records pass through on their way to meta.rejected_records.
-- Reads: nothing.
-- Twice is safe: it is dropped with the transaction.
create temporary table staging_reject (
    source   text not null,
    position text not null,
    raw      bytea not null,
    reasons  text[] not null
) on commit drop
