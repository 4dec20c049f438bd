-- Fills: review_hour with differences noted since the last time, at most so many; review_tally stays the same.
-- Reads: review_hour_change, whose rows it removes.
-- Twice is safe: a difference is removed in the statement that adds it.
with noted as (
    delete from review_hour_change
    where ctid = any(array(select ctid from review_hour_change limit %(most)s))
    returning exhibition_id, hour, rating_id, reviews
)
insert into review_hour as counted (exhibition_id, hour, rating_id, reviews)
select exhibition_id, hour, rating_id, sum(reviews)
from noted
group by 1, 2, 3
having sum(reviews) <> 0
on conflict (exhibition_id, hour, rating_id) do update
    set reviews = counted.reviews + excluded.reviews
