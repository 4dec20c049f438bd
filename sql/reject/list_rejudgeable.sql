-- Reads: open rejected rows of files with a reason that may have passed, unless their object is new or changed in this run.
select r.source, r.position, r.raw, r.reasons, e.columns, e.source_id
from event_source e
join meta.rejected_records r
    on r.source = source_name(e)
where e.kind = 'file'
  and r.resolved_at is null
  and r.position <> 'file'
  and r.reasons && %(rejudged_reasons)s
  and not exists (
      select
      from staging_object o
      where o.source = r.source
        and o.action <> 'unchanged'
  )
order by r.source, r.position
