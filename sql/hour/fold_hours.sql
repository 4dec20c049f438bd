-- Fills: review_hour and incident_hour with differences noted since the last time, at most so many of each; the tallies stay the same.
-- Reads: review_hour_change, incident_hour_change, whose folded rows go; returns whether some are left.
-- Twice is safe: a difference leaves its list in the statement that adds it. An hour whose presses have all gone again is removed.
with noted as (
    delete from review_hour_change
    where ctid = any(array(select ctid from review_hour_change limit %(most)s))
    returning exhibition_id, hour, rating_id, reviews
)
insert into review_hour as counted (exhibition_id, hour, rating_id, reviews)
select exhibition_id, hour, rating_id, sum(reviews)
from noted
group by 1, 2, 3
having sum(reviews) <> 0
on conflict (exhibition_id, hour, rating_id) do update
    set reviews = counted.reviews + excluded.reviews;

with noted as (
    delete from incident_hour_change
    where ctid = any(array(select ctid from incident_hour_change limit %(most)s))
    returning exhibition_id, hour, incident_type_id, incidents
)
insert into incident_hour as counted (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, hour, incident_type_id, sum(incidents)
from noted
group by 1, 2, 3
having sum(incidents) <> 0
on conflict (exhibition_id, hour, incident_type_id) do update
    set incidents = counted.incidents + excluded.incidents;

delete from review_hour
where reviews = 0;

delete from incident_hour
where incidents = 0;

select exists (select from review_hour_change) or exists (select from incident_hour_change)
