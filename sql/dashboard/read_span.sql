-- Reads: the hourly counts: the first and the last hour between two moments, and how many presses lie outside of them.
select least(
           (select min(hour) from review_hour where hour >= %(earliest)s and hour < %(latest)s),
           (select min(hour) from review_hour_change where hour >= %(earliest)s and hour < %(latest)s),
           (select min(hour) from incident_hour where hour >= %(earliest)s and hour < %(latest)s),
           (select min(hour) from incident_hour_change where hour >= %(earliest)s and hour < %(latest)s)
       ) as first_hour,
       greatest(
           (select max(hour) from review_hour where hour >= %(earliest)s and hour < %(latest)s),
           (select max(hour) from review_hour_change where hour >= %(earliest)s and hour < %(latest)s),
           (select max(hour) from incident_hour where hour >= %(earliest)s and hour < %(latest)s),
           (select max(hour) from incident_hour_change where hour >= %(earliest)s and hour < %(latest)s)
       ) as last_hour,
       (select coalesce(sum(reviews), 0)::bigint from review_tally where hour < %(earliest)s or hour >= %(latest)s)
       + (select coalesce(sum(incidents), 0)::bigint from incident_tally where hour < %(earliest)s or hour >= %(latest)s)
           as left_out
