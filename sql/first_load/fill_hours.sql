-- Fills: review_hour and incident_hour anew with every press, after a bulk load into empty tables, whose triggers were off.
-- Reads: review, incident; counting into a TEMP table first may use several workers, which an insert may not.
-- Twice is safe: what was counted before is removed first; the TEMP tables go with the transaction.

-- Until Postgres knows how the times lie it neither counts with several workers nor uses the small index on them, and autovacuum
-- would look only minutes later.
analyze review, incident;

delete from review_hour_change;

delete from review_hour;

create temporary table staging_review_hour on commit drop as
select exhibition_id, utc_hour(at) as hour, rating_id, count(*) as reviews
from review
group by 1, 2, 3;

insert into review_hour (exhibition_id, hour, rating_id, reviews)
select exhibition_id, hour, rating_id, reviews
from staging_review_hour
order by exhibition_id, hour, rating_id;

delete from incident_hour_change;

delete from incident_hour;

create temporary table staging_incident_hour on commit drop as
select exhibition_id, utc_hour(at) as hour, incident_type_id, count(*) as incidents
from incident
group by 1, 2, 3;

insert into incident_hour (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, hour, incident_type_id, incidents
from staging_incident_hour
order by exhibition_id, hour, incident_type_id;

analyze review_hour, incident_hour
