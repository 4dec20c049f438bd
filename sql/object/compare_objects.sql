-- Fills: action, previous_stored and source_id of staging_object for objects that the ledger knows; lists all actions.
-- Reads: event_source, the ledger; never a folder.
-- Twice is safe: it computes the same again. A version before 4 of the program leaves stored empty.
update staging_object o
set action = case when e.content_hash = o.content_hash then 'unchanged' else 'changed' end,
    previous_stored = coalesce(e.stored, 0),
    source_id = e.source_id
from event_source e
where e.bucket = o.bucket
  and e.key = o.key;

select object, action
from staging_object
