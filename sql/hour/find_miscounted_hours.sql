-- Fills: staging_review_difference and staging_incident_difference, TEMP tables, with the hours of a span that are counted wrongly.
-- Reads: the presses and the hourly counts, of reviews from the archive's border on; returns how many hours, reviews and incidents differ.
-- Twice is safe: the TEMP tables go with the transaction.
create temporary table staging_review_difference on commit drop as
select exhibition_id, hour, rating_id, sum(reviews)::bigint as reviews
from (
    select exhibition_id, utc_hour(at) as hour, rating_id, count(*) as reviews
    from review
    where at >= greatest(%(first_hour)s::timestamptz, (select archive_border())) and at < %(end_hour)s::timestamptz
    group by 1, 2, 3
    union all
    select exhibition_id, hour, rating_id, -reviews
    from review_hour
    where hour >= greatest(%(first_hour)s::timestamptz, (select archive_border())) and hour < %(end_hour)s::timestamptz
    union all
    select exhibition_id, hour, rating_id, -reviews
    from review_hour_change
    where hour >= greatest(%(first_hour)s::timestamptz, (select archive_border())) and hour < %(end_hour)s::timestamptz
) part
group by 1, 2, 3
having sum(reviews) <> 0;

create temporary table staging_incident_difference on commit drop as
select exhibition_id, hour, incident_type_id, sum(incidents)::bigint as incidents
from (
    select exhibition_id, utc_hour(at) as hour, incident_type_id, count(*) as incidents
    from incident
    where at >= %(first_hour)s::timestamptz and at < %(end_hour)s::timestamptz
    group by 1, 2, 3
    union all
    select exhibition_id, hour, incident_type_id, -incidents
    from incident_hour
    where hour >= %(first_hour)s::timestamptz and hour < %(end_hour)s::timestamptz
    union all
    select exhibition_id, hour, incident_type_id, -incidents
    from incident_hour_change
    where hour >= %(first_hour)s::timestamptz and hour < %(end_hour)s::timestamptz
) part
group by 1, 2, 3
having sum(incidents) <> 0;

select (select count(distinct hour) from (
            select hour from staging_review_difference
            union all
            select hour from staging_incident_difference
        ) wrong),
       (select coalesce(sum(abs(reviews)), 0)::bigint from staging_review_difference),
       (select coalesce(sum(abs(incidents)), 0)::bigint from staging_incident_difference)
