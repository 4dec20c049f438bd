-- Fills: nothing; takes the next review_id, from which a bulk load counts on.
-- Reads: the sequence, which nobody else uses while review is locked.
-- Twice is safe: ids may have gaps.
select nextval(pg_get_serial_sequence('review', 'review_id'))
