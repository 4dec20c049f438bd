-- Fills: nothing.
-- Reads: staging_object.
-- Twice is safe: it only reads.
select object, source, action, rows, previous_rows
from staging_object
