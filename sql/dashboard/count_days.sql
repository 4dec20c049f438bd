-- Reads: the hourly counts: on how many local days of a period there are presses, up to so many; one look into the indexes for each day.
with recursive day as (
    select 1 as number, (least(
               (select min(hour) from review_hour where hour >= %(begins)s and hour < %(ends)s),
               (select min(hour) from review_hour_change where hour >= %(begins)s and hour < %(ends)s),
               (select min(hour) from incident_hour where hour >= %(begins)s and hour < %(ends)s),
               (select min(hour) from incident_hour_change where hour >= %(begins)s and hour < %(ends)s)
           ) at time zone %(timezone)s)::date as local_day
    union all
    select day.number + 1, (least(
               (select min(hour) from review_hour where hour >= midnight and hour < %(ends)s),
               (select min(hour) from review_hour_change where hour >= midnight and hour < %(ends)s),
               (select min(hour) from incident_hour where hour >= midnight and hour < %(ends)s),
               (select min(hour) from incident_hour_change where hour >= midnight and hour < %(ends)s)
           ) at time zone %(timezone)s)::date
    from day
    cross join lateral (select (day.local_day + 1)::timestamp at time zone %(timezone)s as midnight) next
    where day.local_day is not null and day.number <= %(most)s
)
select count(local_day)
from day
