-- Fills: resolved_at of open rejects that a complete listing did not bring again.
-- Reads: meta.rejected_records, the positions that the run rejected.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records
set resolved_at = now()
where source = %(source)s
  and resolved_at is null
  and position <> all (%(positions)s::text[])
