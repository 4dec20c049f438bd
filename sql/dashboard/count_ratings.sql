-- Reads: review_tally, from one moment to another, of some exhibitions.
select exhibition_id,
       rating_id,
       sum(reviews)::bigint as reviews
from review_tally
where exhibition_id = any(%(exhibitions)s)
  and hour >= %(begins)s
  and hour < %(ends)s
group by exhibition_id, rating_id
having sum(reviews) <> 0
order by exhibition_id, rating_id
