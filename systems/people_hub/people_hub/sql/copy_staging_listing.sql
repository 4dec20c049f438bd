-- Fills: staging_listing from the client's stream in COPY's text format.
-- Reads: the stream.
-- Twice is safe: the TEMP table is empty at the start of every transaction.
copy staging_listing (ord, external_id, entity_hash) from stdin
