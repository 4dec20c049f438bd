-- Fills: nothing.
-- Reads: event_source, the objects of this bucket that this run did not see.
-- Twice is safe: it only reads.
select e.key
from event_source e
where e.kind = 'file'
  and e.bucket = %(bucket)s
  and e.key <> all (%(seen)s)
order by e.key
