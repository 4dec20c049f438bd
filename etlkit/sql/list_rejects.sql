-- Reads: meta.rejected_records, newest first.
select source,
       position,
       reasons,
       raw,
       run_id,
       first_seen,
       last_seen,
       resolved_at
from meta.rejected_records
where (%(all)s or resolved_at is null)
  and (%(reason)s::text is null or %(reason)s = any (reasons))
  and (%(source)s::text is null or source = %(source)s)
order by last_seen desc, source, length(position), position
limit %(limit)s
