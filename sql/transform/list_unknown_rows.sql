-- Fills: nothing.
-- Reads: kiosk, the row numbers of one file that the fast path does not know, in the file's order.
-- Twice is safe: it only reads.
select row_number
from kiosk
where object_number = $object_number
  and val is null
order by row_number
