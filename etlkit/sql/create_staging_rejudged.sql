-- Fills: nothing; creates the TEMP table of open rejects that were judged again; no reasons means good now.
-- Reads: nothing.
-- Twice is safe: it is dropped with the transaction.
create temporary table staging_rejudged (
    source   text not null,
    position text not null,
    reasons  text[] not null
) on commit drop
