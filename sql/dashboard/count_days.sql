-- Reads: the hourly counts: on how many local days of a period there are presses, up to so many of those that are folded.
-- Of these each day is one look into the indexes; the differences that are not folded yet have no index and are read once.
with recursive day as (
    select 1 as number, (least(
               (select min(hour) from review_hour where hour >= %(begins)s and hour < %(ends)s),
               (select min(hour) from incident_hour where hour >= %(begins)s and hour < %(ends)s)
           ) at time zone %(timezone)s)::date as local_day
    union all
    select day.number + 1, (least(
               (select min(hour) from review_hour where hour >= midnight and hour < %(ends)s),
               (select min(hour) from incident_hour where hour >= midnight and hour < %(ends)s)
           ) at time zone %(timezone)s)::date
    from day
    cross join lateral (select (day.local_day + 1)::timestamp at time zone %(timezone)s as midnight) next
    where day.local_day is not null and day.number <= %(most)s
)
select count(*)
from (
    select local_day
    from day
    where local_day is not null
    union
    select (hour at time zone %(timezone)s)::date
    from review_hour_change
    where hour >= %(begins)s and hour < %(ends)s
    union
    select (hour at time zone %(timezone)s)::date
    from incident_hour_change
    where hour >= %(begins)s and hour < %(ends)s
) any_day
