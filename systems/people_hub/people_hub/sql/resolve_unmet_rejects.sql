-- Fills: resolved_at of open rejects that a complete listing did not bring again.
-- Reads: meta.rejected_records, met_reject.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records r
set resolved_at = now()
where r.source = %(source)s
  and r.resolved_at is null
  and not exists (select from met_reject m where m.position = r.position)
