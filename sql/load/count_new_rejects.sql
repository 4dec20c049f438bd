-- Fills: nothing.
-- Reads: staging_reject, meta.rejected_records: the row rejects that this run is the first to meet, and those that were open.
-- Twice is safe: it only reads.
select count(*) filter (where r.run_id = %(run_id)s),
       count(*) filter (where r.run_id <> %(run_id)s)
from staging_reject s
join meta.rejected_records r using (source, position)
where s.position ~ '^[0-9]+$'
