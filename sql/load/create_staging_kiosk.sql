-- Fills: nothing; creates the typed TEMP table for kiosk rows.
-- Reads: nothing.
-- Twice is safe: it is dropped with the transaction.
create temporary table staging_kiosk (
    at        timestamptz not null,
    site      integer not null,
    val       smallint not null,
    type      smallint,
    source_id integer not null,
    row       bigint not null
) on commit drop
