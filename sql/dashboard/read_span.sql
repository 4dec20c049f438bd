-- Fills: nothing.
-- Reads: the hourly counts of reviews and of incidents.
-- Twice is safe: it only reads.
select least(
           (select min(hour) from review_hour), (select min(hour) from review_hour_change),
           (select min(hour) from incident_hour), (select min(hour) from incident_hour_change)
       ) as first_hour,
       greatest(
           (select max(hour) from review_hour), (select max(hour) from review_hour_change),
           (select max(hour) from incident_hour), (select max(hour) from incident_hour_change)
       ) as last_hour
