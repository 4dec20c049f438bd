-- Fills: staging_reject from the client's stream in COPY's text format.
-- Reads: the stream.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_reject (source, position, raw, reasons) from stdin
