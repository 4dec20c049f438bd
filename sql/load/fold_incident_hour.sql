-- Fills: incident_hour with the differences noted since the last time; incident_tally stays the same.
-- Reads: incident_hour_change, whose rows it removes.
-- Twice is safe: a difference is removed in the statement that adds it.
with noted as (
    delete from incident_hour_change
    returning exhibition_id, hour, incident_type_id, incidents
)
insert into incident_hour as counted (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, hour, incident_type_id, sum(incidents)
from noted
group by 1, 2, 3
having sum(incidents) <> 0
on conflict (exhibition_id, hour, incident_type_id) do update
    set incidents = counted.incidents + excluded.incidents
