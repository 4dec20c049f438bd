-- Fills: nothing.
-- Reads: staging_review_difference, staging_incident_difference: how many hours, reviews and incidents are counted wrongly.
-- Twice is safe: it only reads.
select (select count(distinct hour) from (
            select hour from staging_review_difference
            union all
            select hour from staging_incident_difference
        ) wrong),
       (select coalesce(sum(abs(reviews)), 0)::bigint from staging_review_difference),
       (select coalesce(sum(abs(incidents)), 0)::bigint from staging_incident_difference)
