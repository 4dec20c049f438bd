-- Fills: incident_hour with every incident, after a bulk load into the empty table, whose trigger was off meanwhile.
-- Reads: staging_incident_hour.
-- Twice is safe: it runs once in the transaction of the bulk load, which has emptied incident_hour.
insert into incident_hour (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, hour, incident_type_id, incidents
from staging_incident_hour
order by exhibition_id, hour, incident_type_id
