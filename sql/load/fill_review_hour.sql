-- Fills: review_hour with every review, after a bulk load into the empty table, whose trigger was off meanwhile.
-- Reads: staging_review_hour.
-- Twice is safe: it runs once in the transaction of the bulk load, which has emptied review_hour.
insert into review_hour (exhibition_id, hour, rating_id, reviews)
select exhibition_id, hour, rating_id, reviews
from staging_review_hour
order by exhibition_id, hour, rating_id
