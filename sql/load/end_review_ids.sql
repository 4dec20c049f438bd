-- Fills: nothing; moves the sequence of review_id to the last one that a bulk load gave.
-- Reads: nothing.
-- Twice is safe: it sets the same again.
select setval(pg_get_serial_sequence('review', 'review_id'), %(last_id)s)
