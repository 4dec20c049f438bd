-- Reads: staging_reject, staging_object, staging_text: rows that only the database rejected and whose text was not kept.
select o.key, o.source_id, r.position::bigint as row
from staging_reject r
join staging_object o on o.source = r.source
where r.position ~ '^[0-9]+$'
  and r.raw = ''
  and not exists (select from staging_text k where k.source_id = o.source_id and k.row = r.position::bigint)
order by o.key, row
