-- Fills: nothing; creates the typed TEMP table for kiosk rows.
-- Reads: nothing.
-- Twice is safe: one a session, empty again after every transaction, so that a stream leaves no litter in the catalog.
create temporary table if not exists staging_kiosk (
    at        timestamptz not null,
    site      integer not null,
    val       smallint not null,
    type      smallint,
    source_id integer not null,
    row       bigint not null
) on commit delete rows
