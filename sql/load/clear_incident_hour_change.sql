-- Fills: nothing; removes the noted differences of the empty incident table, which add up to zero, before a bulk load.
-- Reads: nothing.
-- Twice is safe: what is not there is not removed.
delete from incident_hour_change
