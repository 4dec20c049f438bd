-- Fills: nothing.
-- Reads: staging_object: new and changed objects, their numbers in the ledger, their rows, and the presses stored until now.
-- Twice is safe: it only reads.
select object, source_id, rows, previous_stored
from staging_object
where action <> 'unchanged'
