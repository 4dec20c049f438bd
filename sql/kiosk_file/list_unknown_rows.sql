-- Reads: kiosk, the row numbers that the fast path does not know, in the file's order.
select row_number
from kiosk
where val is null
order by row_number
