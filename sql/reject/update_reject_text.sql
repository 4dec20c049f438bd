-- Fills: raw of the staged rejects that have none yet.
-- Reads: staging_reject, staging_object, staging_text.
-- Twice is safe: only an empty text is filled.
update staging_reject r
set raw = k.raw
from staging_object o
join staging_text k on k.source_id = o.source_id
where r.source = o.source
  and r.position = k.row::text
  and r.raw = ''
