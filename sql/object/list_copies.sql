-- Reads: staging_object, event_source: new and changed objects whose content is stored under another name and stays so.
select o.object, case when e.bucket = 'file:' then e.key else 's3://' || e.bucket || '/' || e.key end
from staging_object o
join event_source e on e.content_hash = o.content_hash
where o.action <> 'unchanged'
  and e.kind = 'file'
  and e.rows > 0
  and not exists (
      select
      from staging_object s
      where s.bucket = e.bucket
        and s.key = e.key
        and s.action <> 'unchanged'
  )
order by e.source_id desc
