-- Fills: nothing.
-- Reads: detail_due, by reason.
-- Twice is safe: it only reads.
select substr(reason, 3),
       count(*)
from detail_due
group by reason
order by reason
