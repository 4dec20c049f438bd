-- Reads: the hourly counts: each local month from the archive's border up to a moment, and how many reviews it has.
select to_char(hour at time zone %(timezone)s, 'YYYY-MM'), sum(reviews)::bigint
from review_tally
where hour >= (select archive_border())
  and hour < %(before)s
group by 1
having sum(reviews) <> 0
order by 1
