-- Fills: review_hour_change and incident_hour_change with what the counts lack or have too much.
-- Reads: staging_review_difference, staging_incident_difference.
-- Twice is safe: once noted, the next look finds no difference.
insert into review_hour_change (exhibition_id, hour, rating_id, reviews)
select exhibition_id, hour, rating_id, reviews
from staging_review_difference;

insert into incident_hour_change (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, hour, incident_type_id, incidents
from staging_incident_difference
