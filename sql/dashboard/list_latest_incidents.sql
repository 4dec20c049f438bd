-- Reads: request_info, the latest between two moments, of some exhibitions and of one type or all; the index on at makes it quick.
select incident_id,
       at,
       at at time zone %(timezone)s as local_at,
       exhibition_name as exhibition,
       floors,
       incident_type_id,
       incident_type
from request_info
where at >= %(earliest)s
  and at < %(latest)s
  and (%(exhibitions)s::integer[] is null or exhibition_id = any(%(exhibitions)s))
  and (%(type)s::smallint is null or incident_type_id = %(type)s)
order by at desc, incident_id desc
limit %(limit)s
