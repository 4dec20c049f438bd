-- Reads: meta.rejected_records: the open ones of the hub's streams, or of one, the newest first.
select source,
       position,
       reasons,
       first_seen,
       raw
from meta.rejected_records
where source = any (%(sources)s)
  and resolved_at is null
order by last_seen desc, source, position
limit %(limit)s
