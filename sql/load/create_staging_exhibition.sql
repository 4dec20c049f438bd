-- Fills: nothing; creates the typed TEMP table for the combined exhibition file.
-- Reads: nothing.
-- Twice is safe: it is dropped with the transaction.
create temporary table staging_exhibition (
    exhibition_name text not null,
    exhibition_code text not null check (exhibition_code ~ '^EXH_[0-9]+$'),
    floor           text,
    department      text,
    start_date      date,
    description     text,
    object          text,
    record          integer,
    site            integer generated always as (substr(exhibition_code, 5)::integer) stored
) on commit drop
