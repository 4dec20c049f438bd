-- Reads: meta.rejected_records: the positions of a stream's open ones.
select position
from meta.rejected_records
where source = %(source)s
  and resolved_at is null
