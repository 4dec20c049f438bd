-- Reads: detail_due, by reason.
select substr(reason, 3),
       count(*)
from detail_due
group by reason
order by reason
