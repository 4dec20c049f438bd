-- Fills: incident_hour_change with what the counts lack or have too much.
-- Reads: staging_incident_difference.
-- Twice is safe: it runs once in the transaction that found the differences, under the lock of the hourly counts.
insert into incident_hour_change (exhibition_id, hour, incident_type_id, incidents)
select exhibition_id, hour, incident_type_id, incidents
from staging_incident_difference
