-- Reads: meta.rejected_records: how many of a stream are open.
select count(*)
from meta.rejected_records
where source = %(source)s
  and resolved_at is null
