-- Fills: incident_hour with differences noted since the last time, at most so many; incident_tally stays the same.
-- Reads: incident_hour_change, whose rows it removes.
-- Twice is safe: a difference is removed in the statement that adds it.
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
    set incidents = counted.incidents + excluded.incidents
