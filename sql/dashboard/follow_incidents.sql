-- Reads: incident_tally, from one moment to another, of some exhibitions, by local hour, day, week or month.
select incident_type_id,
       date_trunc(%(grain)s, hour at time zone %(timezone)s) as period,
       sum(incidents)::bigint as incidents
from incident_tally
where exhibition_id = any(%(exhibitions)s)
  and hour >= %(begins)s
  and hour < %(ends)s
group by incident_type_id, period
having sum(incidents) <> 0
order by period, incident_type_id
