-- Fills: nothing; creates the TEMP table with the original text of rows that the database may reject.
-- Reads: nothing.
-- Twice is safe: it is dropped with the transaction.
create temporary table staging_text (
    source_id integer not null,
    row       bigint not null,
    raw       bytea not null,
    primary key (source_id, row)
) on commit drop
