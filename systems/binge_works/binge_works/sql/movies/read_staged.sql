-- Fills: nothing; the day and the run that staging holds, and how many items. One row, or none where it is empty.
-- Reads: staging.popular_movies.
-- Twice is safe: it only reads.
select as_of, run_id, count(*) as items
from staging.popular_movies
group by as_of, run_id
