-- Fills: resolved_at of open rejects of the given sources whose position is not rejected any more.
-- Reads: meta.rejected_records, staging_reject.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records r
set resolved_at = now()
where r.source = any (%(sources)s)
  and r.resolved_at is null
  and not exists (
      select from staging_reject s
      where s.source = r.source
        and s.position = r.position
  )
