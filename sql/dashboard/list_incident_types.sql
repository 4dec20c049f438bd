-- Reads: incident_type.
select incident_type_id,
       case when count(*) over (partition by description) > 1
            then concat(description, ' (', incident_type_id, ')')
            else description
       end as incident_type
from incident_type
order by incident_type_id
