-- Fills: nothing; removes the hours whose reviews have all gone again.
-- Reads: review_hour.
-- Twice is safe: the second time finds none.
delete from review_hour
where reviews = 0
