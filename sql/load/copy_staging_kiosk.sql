-- Fills: staging_kiosk from the combined kiosk file; its header was checked.
-- Reads: the client's stream.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_kiosk (at, site, val, type, object, row) from stdin with (format csv, header)
