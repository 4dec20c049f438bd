-- Fills: staging_rejudged from the client's stream in COPY's text format.
-- Reads: the stream.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_rejudged (source, position, reasons) from stdin
