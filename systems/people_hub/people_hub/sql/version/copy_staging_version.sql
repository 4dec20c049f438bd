-- Fills: staging_version from the client's stream in COPY's text format.
-- Reads: the stream.
-- Twice is safe: the TEMP table is empty at the start of every transaction, and a savepoint takes back a part that failed.
copy staging_version (ord, source_system, entity_type, external_id, entity_hash, hash_version, raw_data, ingestion_metadata) from stdin
