-- Fills: nothing.
-- Reads: kiosk, the latest moment of the rows that are combined.
-- Twice is safe: it only reads.
select max(at_utc)
from kiosk
where val is not null
