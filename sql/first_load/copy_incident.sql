-- Fills: the empty incident table, whose constraints were taken off for a bulk load.
-- Reads: the client's stream in COPY's binary format; its ids were reserved.
-- Twice is safe: the unique key (source_id, position) is put back in the same transaction and would refuse it.
copy incident (incident_id, exhibition_id, at, incident_type_id, source_id, position) from stdin with (format binary)
