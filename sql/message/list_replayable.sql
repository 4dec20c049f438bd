-- Fills: nothing; locks the rejects that it lists.
-- Reads: open rejects of live messages after a given one, with a given reason or any; those too long to be judged are left out.
-- Twice is safe: the locks end with the transaction; a reject that was resolved meanwhile is not listed again.
select r.source, r.position, r.raw, r.reasons, e.source_id
from event_source e
join meta.rejected_records r on r.source = source_name(e)
where e.kind = 'kafka'
  and r.resolved_at is null
  and (%(reason)s::text is null or %(reason)s = any (r.reasons))
  and octet_length(r.raw) <= %(longest)s
  and (r.source, r.position) > (%(after_source)s, %(after_position)s)
order by r.source, r.position
limit %(limit)s
for update of r
