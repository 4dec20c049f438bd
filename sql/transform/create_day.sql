-- Fills: day, the UTC offset of every date on which the museum's clocks do not change.
-- Reads: the spans of equal offset that the program gives.
-- Twice is safe: it replaces the table.
create or replace temp table day as
select unnest(generate_series(first_day, last_day, interval 1 day))::date as day,
       offset_minutes
from (
    select unnest($first_days::date[]) as first_day,
           unnest($last_days::date[]) as last_day,
           unnest($offsets::smallint[]) as offset_minutes
)
