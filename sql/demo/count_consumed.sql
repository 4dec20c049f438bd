-- Fills: nothing.
-- Reads: event_source: how many messages have come since a moment.
-- Twice is safe: it only reads.
select coalesce(sum(rows), 0)
from event_source
where kind = 'kafka'
  and loaded_at >= %(began)s
