-- Reads: where the rows of a load stand: presses that the ledger has of unchanged objects, the row rejects that this run is the first
-- to meet and those that were open, then the open rejects of the museum's files, all and of unchanged objects' rows.
select (
           select coalesce(sum(e.stored), 0)::bigint
           from staging_object o
           join event_source e on e.source_id = o.source_id
           where o.action = 'unchanged'
       ),
       staged.new,
       staged.earlier,
       open.files,
       open.unchanged
from (
    select count(*) filter (where r.run_id = %(run_id)s) as new,
           count(*) filter (where r.run_id <> %(run_id)s) as earlier
    from staging_reject s
    join meta.rejected_records r using (source, position)
    where s.position ~ '^[0-9]+$'
) staged
cross join (
    select count(*) as files,
           count(*) filter (where r.position <> 'file' and o.object is not null) as unchanged
    from meta.rejected_records r
    left join staging_object o on o.source = r.source and o.action = 'unchanged'
    where r.resolved_at is null
      and (r.source like 's3://%%' or r.source like 'file:%%')
) open
