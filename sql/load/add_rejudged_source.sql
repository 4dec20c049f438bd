-- Fills: staging_object with the sources of earlier rejects that are good now, under their full name.
-- Reads: event_source.
-- Twice is safe: the name is the primary key.
insert into staging_object (object, bucket, key, source, content_hash, columns, rows, action, previous_rows, source_id)
select s.source, e.bucket, e.key, s.source, e.content_hash, e.columns, 0, 'unchanged', e.rows, e.source_id
from (
    select e.*,
           case when e.bucket = 'file:' then 'file:' || e.key else 's3://' || e.bucket || '/' || e.key end as source
    from event_source e
    where e.kind = 'file'
) e
join (select unnest(%(sources)s) as source) s on s.source = e.source
on conflict (object) do nothing
