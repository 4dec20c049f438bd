-- Fills: staging_object with the readable kiosk objects of this run.
-- Reads: the client's stream in COPY's text format.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_object (object, bucket, key, source, content_hash, columns, rows) from stdin
