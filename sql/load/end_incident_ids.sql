-- Fills: nothing; moves the sequence of incident_id to the last one that a bulk load gave.
-- Reads: nothing.
-- Twice is safe: it sets the same again.
select setval(pg_get_serial_sequence('incident', 'incident_id'), %(last_id)s)
