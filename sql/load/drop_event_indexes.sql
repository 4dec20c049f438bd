-- Fills: nothing; drops the indexes of the empty event tables, which are built anew after the bulk load.
-- Reads: nothing.
-- Twice is safe: what is not there is not dropped; a failure rolls the whole transaction back.
drop index if exists review_exhibition_at, review_at, incident_exhibition_at, incident_at
