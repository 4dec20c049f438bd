-- Fills: nothing; the tables of a list that hold a later day than the one to be loaded, and which.
-- Reads: tmdb_data.loaded_day.
-- Twice is safe: it only reads.
select table_name, as_of
from tmdb_data.loaded_day
where table_name = any (%(tables)s)
  and as_of > %(as_of)s
order by as_of desc, table_name
