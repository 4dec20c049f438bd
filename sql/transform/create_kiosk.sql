-- Fills: nothing; creates the DuckDB table that gathers the rows of all kiosk files before they are sorted.
-- Reads: nothing.
-- Twice is safe: it replaces the table, which lives only as long as the transform.
-- A row whose val is null is one that the fast path does not know; the rules in museum/kiosk.py decide about it.
create or replace table kiosk (
    at_utc         timestamp,
    offset_minutes smallint,
    site           integer,
    val            smallint,
    type           smallint,
    object_number  integer,
    row_number     bigint
)
