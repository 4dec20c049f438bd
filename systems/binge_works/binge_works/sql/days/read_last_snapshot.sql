-- Fills: nothing; the last day of a list that is kept, and how many items it had.
-- Reads: tmdb_data.popularity_snapshot.
-- Twice is safe: it only reads.
select as_of, count(*) as items
from tmdb_data.popularity_snapshot
where list = %(list)s
group by as_of
order by as_of desc
limit 1
