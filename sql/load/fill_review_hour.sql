-- Fills: review_hour with every review, after a bulk load into the empty table, whose trigger was off meanwhile.
-- Reads: review.
-- Twice is safe: it runs once in the transaction of the bulk load.
insert into review_hour as counted (exhibition_id, hour, rating_id, reviews)
select exhibition_id, utc_hour(at), rating_id, count(*)
from review
group by 1, 2, 3
on conflict (exhibition_id, hour, rating_id) do update
    set reviews = counted.reviews + excluded.reviews
