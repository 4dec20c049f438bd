-- Reads: event_source: how many partitions have been taken up since a moment, and how many messages have come.
select count(*), coalesce(sum(rows), 0)
from event_source
where kind = 'kafka'
  and loaded_at >= %(began)s
