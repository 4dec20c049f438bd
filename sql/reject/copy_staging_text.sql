-- Fills: staging_text from the rejects file's provisional rows.
-- Reads: the client's stream in COPY's text format.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_text (source_id, row, raw) from stdin
