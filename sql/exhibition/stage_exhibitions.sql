-- Fills: staging_exhibition, a typed TEMP table, from the combined exhibition file, which quotes everything.
-- Reads: the client's stream; its header was checked.
-- Twice is safe: the table goes with the transaction.
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
) on commit drop;

copy staging_exhibition (exhibition_name, exhibition_code, floor, department, start_date, description, object, record)
from stdin with (format csv, header, force_null (floor, department, start_date, description))
