-- Fills: nothing.
-- Reads: kiosk, the row numbers that the fast path does not know, in the file's order.
-- Twice is safe: it only reads.
select row_number
from kiosk
where val is null
order by row_number
