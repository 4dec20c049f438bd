-- Fills: nothing.
-- Reads: incident_type.
-- Twice is safe: it only reads.
select incident_type_id,
       description as incident_type
from incident_type
order by incident_type_id
