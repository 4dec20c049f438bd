-- Fills: incident_hour with every incident, after a bulk load into the empty table, whose trigger was off meanwhile.
-- Reads: incident.
-- Twice is safe: it runs once in the transaction of the bulk load.
insert into incident_hour as counted (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, utc_hour(at), incident_type_id, count(*)
from incident
group by 1, 2, 3
on conflict (exhibition_id, hour, incident_type_id) do update
    set incidents = counted.incidents + excluded.incidents
