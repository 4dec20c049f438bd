-- Reads: detail_due: the next keys whose detail is to be fetched.
select ord,
       external_id
from detail_due
where ord > %(after)s
order by ord
limit %(limit)s
