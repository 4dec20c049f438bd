-- Fills: nothing.
-- Reads: staging_object, the new and changed objects and their numbers in the ledger.
-- Twice is safe: it only reads.
select object, source_id
from staging_object
where action <> 'unchanged'
