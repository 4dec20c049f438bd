-- Fills: nothing; removes the noted differences of the empty review table, which add up to zero, before a bulk load.
-- Reads: nothing.
-- Twice is safe: what is not there is not removed.
delete from review_hour_change
