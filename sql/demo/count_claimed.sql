-- Fills: nothing.
-- Reads: event_source: how many partitions have been taken up since a moment.
-- Twice is safe: it only reads.
select count(*)
from event_source
where kind = 'kafka'
  and loaded_at >= %(began)s
