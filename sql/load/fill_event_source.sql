-- Fills: event_source with the new content of new and changed objects.
-- Reads: staging_object.
-- Twice is safe: one row an object, found by (bucket, key).
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
        run_id = excluded.run_id
