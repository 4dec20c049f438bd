-- Fills: staging_kiosk with earlier rejects that are good now.
-- Reads: the client's stream in COPY's text format.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_kiosk (at, site, val, type, source_id, row) from stdin
