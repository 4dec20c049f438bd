-- Fills: review_hour_change with what the counts lack or have too much.
-- Reads: staging_review_difference.
-- Twice is safe: it runs once in the transaction that found the differences, under the lock of the hourly counts.
insert into review_hour_change (exhibition_id, hour, rating_id, reviews)
select exhibition_id, hour, rating_id, reviews
from staging_review_difference
