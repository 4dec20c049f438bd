-- Fills: day, the UTC offset of every date; where the clocks change, also from and until when in the day it is unknown.
-- Reads: the spans of days that the program gives.
-- Twice is safe: it replaces the table.
create or replace table day as
select unnest(generate_series(first_day, last_day, interval 1 day))::date as day,
       offset_minutes,
       changes_from,
       changes_until,
       later_offset_minutes
from (
    select unnest($first_day::date[]) as first_day,
           unnest($last_day::date[]) as last_day,
           unnest($offset_minutes::smallint[]) as offset_minutes,
           unnest($changes_from::time[]) as changes_from,
           unnest($changes_until::time[]) as changes_until,
           unnest($later_offset_minutes::smallint[]) as later_offset_minutes
)
