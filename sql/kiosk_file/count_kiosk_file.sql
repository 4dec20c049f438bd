-- Reads: kiosk: how many there are, are understood, and of those fell out of opening hours.
select count(*),
       count(val),
       count(*) filter (
           val is not null
           and (at_utc + to_minutes(offset_minutes))::time not between $opening::time and $closing::time
       )
from kiosk
