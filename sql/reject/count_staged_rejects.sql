-- Reads: staging_reject: how many rows of each new and changed object are rejected.
select o.source_id, count(*)
from staging_object o
join staging_reject s on s.source = o.source
where o.action <> 'unchanged'
  and s.position ~ '^[0-9]+$'
group by o.source_id
