-- Fills: event_source with the presses that were rejected earlier and are good now.
-- Reads: the counts that the program gives, by the object's name in the rejects.
-- Twice is safe: it runs in the transaction that stores the presses and resolves their rejects.
update event_source e
set stored = e.stored + counted.presses
from unnest(%(sources)s::text[], %(presses)s::bigint[]) as counted (source, presses)
where e.kind = 'file'
  and counted.source = case when e.bucket = 'file:' then 'file:' || e.key else 's3://' || e.bucket || '/' || e.key end
