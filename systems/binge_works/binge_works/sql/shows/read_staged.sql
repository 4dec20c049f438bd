-- Fills: nothing; the day and the run that staging holds, and how many items. One row, or none where it is empty.
-- Reads: staging.shows.
-- Twice is safe: it only reads.
select as_of, run_id, count(*) as items
from staging.shows
group by as_of, run_id
