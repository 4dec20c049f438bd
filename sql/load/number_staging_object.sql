-- Fills: source_id of staging_object for the objects that were just added to the ledger.
-- Reads: event_source.
-- Twice is safe: it computes the same again.
update staging_object o
set source_id = e.source_id
from event_source e
where o.source_id is null
  and e.bucket = o.bucket
  and e.key = o.key
