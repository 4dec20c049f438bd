-- Reads: meta.rejected_records: a stream's open ones.
select position,
       raw,
       reasons,
       last_seen
from meta.rejected_records
where source = %(source)s
  and resolved_at is null
order by last_seen, position
