-- Fills: nothing.
-- Reads: staging_reject, meta.rejected_records: the row rejects that this run is the first to meet.
-- Twice is safe: it only reads.
select count(*)
from staging_reject s
join meta.rejected_records r using (source, position)
where r.run_id = %(run_id)s
  and s.position ~ '^[0-9]+$'
