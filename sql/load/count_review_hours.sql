-- Fills: staging_review_hour with the hourly counts of every review; unlike an insert, this may use several workers.
-- Reads: review.
-- Twice is safe: the table is temporary and goes with the transaction.
create temporary table staging_review_hour on commit drop as
select exhibition_id, utc_hour(at) as hour, rating_id, count(*) as reviews
from review
group by 1, 2, 3
