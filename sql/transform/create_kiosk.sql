-- Fills: nothing; creates the DuckDB table that holds the rows of one kiosk file while they are judged.
-- Reads: nothing.
-- Twice is safe: it replaces the table of the file before.
-- A row whose val is null is one that the fast path does not know; the rules in museum/kiosk.py decide about it.
create or replace table kiosk (
    at_utc         timestamp,
    offset_minutes smallint,
    site           integer,
    val            smallint,
    type           smallint,
    row_number     bigint
)
