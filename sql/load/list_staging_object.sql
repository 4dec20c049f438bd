-- Fills: nothing.
-- Reads: staging_object.
-- Twice is safe: it only reads.
select object, action
from staging_object
