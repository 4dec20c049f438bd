-- Fills: event_source with the new content of new and changed objects, whose numbers are listed; what is left out leaves staging_object.
-- Reads: staging_object.
-- Twice is safe: one row an object, found by (bucket, key).
delete from staging_object
where object = any(%(left_out)s);

insert into event_source (kind, bucket, key, content_hash, columns, rows, run_id)
select 'file', bucket, key, content_hash, columns, rows, %(run_id)s::uuid
from staging_object
where action <> 'unchanged'
order by key
on conflict (bucket, key) do update
    set content_hash = excluded.content_hash,
        columns = excluded.columns,
        rows = excluded.rows,
        loaded_at = now(),
        run_id = excluded.run_id;

update staging_object o
set source_id = e.source_id
from event_source e
where o.source_id is null
  and e.bucket = o.bucket
  and e.key = o.key;

select object, source_id, rows, previous_stored
from staging_object
where action <> 'unchanged'
