-- Fills: nothing; builds an index of schema.sql after a bulk load.
-- Reads: incident.
-- Twice is safe: an index that is there stays.
create index if not exists incident_exhibition_at on incident (exhibition_id, at)
