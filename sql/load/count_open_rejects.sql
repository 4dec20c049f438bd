-- Fills: nothing.
-- Reads: the open rejects of the museum's files: all, and the rows of this run's unchanged objects.
-- Twice is safe: it only reads.
select count(*),
       count(*) filter (where r.position <> 'file' and o.object is not null)
from meta.rejected_records r
left join staging_object o on o.source = r.source and o.action = 'unchanged'
where r.resolved_at is null
  and (r.source like 's3://%%' or r.source like 'file:%%')
