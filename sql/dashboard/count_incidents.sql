-- Reads: incident_tally, from one moment to another, of some exhibitions, by local weekday and hour.
select exhibition_id,
       incident_type_id,
       extract(isodow from hour at time zone %(timezone)s)::integer as weekday,
       extract(hour from hour at time zone %(timezone)s)::integer as hour_of_day,
       sum(incidents)::bigint as incidents
from incident_tally
where exhibition_id = any(%(exhibitions)s)
  and hour >= %(begins)s
  and hour < %(ends)s
group by exhibition_id, incident_type_id, weekday, hour_of_day
having sum(incidents) <> 0
order by exhibition_id, incident_type_id, weekday, hour_of_day
