-- Reads: review_tally, from one moment to another, of some exhibitions, by local hour, day, week or month.
select exhibition_id,
       date_trunc(%(grain)s, hour at time zone %(timezone)s) as period,
       sum(reviews)::bigint as reviews,
       (sum(rating_id * reviews) / sum(reviews))::float8 as average
from review_tally
where exhibition_id = any(%(exhibitions)s)
  and hour >= %(begins)s
  and hour < %(ends)s
group by exhibition_id, period
having sum(reviews) <> 0
order by period, exhibition_id
