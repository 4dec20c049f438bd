-- Fills: nothing; takes the next incident_id, from which a bulk load counts on.
-- Reads: the sequence, which nobody else uses while incident is locked.
-- Twice is safe: ids may have gaps.
select nextval(pg_get_serial_sequence('incident', 'incident_id'))
