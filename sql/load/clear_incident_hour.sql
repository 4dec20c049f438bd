-- Fills: nothing; removes the hourly counts of the empty incident table, which are zeros, before a bulk load counts anew.
-- Reads: nothing.
-- Twice is safe: what is not there is not removed.
delete from incident_hour
