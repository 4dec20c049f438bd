-- Fills: met_reject with the positions that staging_reject holds.
-- Reads: staging_reject.
-- Twice is safe: a position stands there once.
insert into met_reject (position)
select position
from staging_reject
on conflict (position) do nothing
