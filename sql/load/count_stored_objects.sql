-- Fills: nothing.
-- Reads: event_source: the presses that the ledger knows of this run's unchanged objects.
-- Twice is safe: it only reads.
select coalesce(sum(e.stored), 0)::bigint
from staging_object o
join event_source e on e.source_id = o.source_id
where o.action = 'unchanged'
