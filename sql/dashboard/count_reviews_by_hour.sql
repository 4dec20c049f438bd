-- Reads: review_tally, from one moment to another, of some exhibitions, by hour of the local day.
-- The hours of UTC are added up first: there are far fewer of them to bring to local time than counts.
select extract(hour from hour at time zone %(timezone)s)::integer as hour_of_day,
       sum(reviews)::bigint as reviews,
       (sum(points) / sum(reviews))::float8 as average
from (
    select hour, sum(reviews) as reviews, sum(rating_id * reviews) as points
    from review_tally
    where exhibition_id = any(%(exhibitions)s)
      and hour >= %(begins)s
      and hour < %(ends)s
    group by hour
) utc
group by hour_of_day
having sum(reviews) <> 0
order by hour_of_day
