-- Reads: kiosk, the latest moment of the rows that are combined.
select max(at_utc)
from kiosk
where val is not null
