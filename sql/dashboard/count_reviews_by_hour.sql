-- Reads: review_tally, from one moment to another, of some exhibitions, by hour of the local day.
select extract(hour from hour at time zone %(timezone)s)::integer as hour_of_day,
       sum(reviews)::bigint as reviews,
       (sum(rating_id * reviews) / sum(reviews))::float8 as average
from review_tally
where exhibition_id = any(%(exhibitions)s)
  and hour >= %(begins)s
  and hour < %(ends)s
group by hour_of_day
having sum(reviews) <> 0
order by hour_of_day
