-- Fills: nothing; removes the hours whose incidents have all gone again.
-- Reads: incident_hour.
-- Twice is safe: the second time finds none.
delete from incident_hour
where incidents = 0
