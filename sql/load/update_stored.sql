-- Fills: event_source with how many presses of new and changed objects the tables hold.
-- Reads: the counts that the program gives.
-- Twice is safe: it sets the same again.
update event_source e
set stored = counted.held
from unnest(%(source_ids)s::integer[], %(held)s::bigint[]) as counted (source_id, held)
where e.source_id = counted.source_id
