-- Fills: event_source with how many presses of new and changed objects the tables hold, and those that were rejected earlier.
-- Reads: the counts that the program gives, by number and by the object's name in the rejects.
-- Twice is safe: it runs in the transaction that stores the presses and resolves their rejects.
update event_source e
set stored = counted.held
from unnest(%(source_ids)s::integer[], %(held)s::bigint[]) as counted (source_id, held)
where e.source_id = counted.source_id;

update event_source e
set stored = e.stored + counted.presses
from unnest(%(sources)s::text[], %(presses)s::bigint[]) as counted (source, presses)
where e.kind = 'file'
  and counted.source = source_name(e)
