-- Fills: staging_kiosk with judged rows.
-- Reads: the client's stream in COPY's binary format.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_kiosk (at, site, val, type, source_id, row) from stdin with (format binary)
