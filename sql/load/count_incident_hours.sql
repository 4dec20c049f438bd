-- Fills: staging_incident_hour with the hourly counts of every incident; unlike an insert, this may use several workers.
-- Reads: incident.
-- Twice is safe: the table is temporary and goes with the transaction.
create temporary table staging_incident_hour on commit drop as
select exhibition_id, utc_hour(at) as hour, incident_type_id, count(*) as incidents
from incident
group by 1, 2, 3
