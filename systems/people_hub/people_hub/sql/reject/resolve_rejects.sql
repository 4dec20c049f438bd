-- Fills: resolved_at of open rejects whose record is good now, or was settled otherwise.
-- Reads: meta.rejected_records.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records
set resolved_at = now()
where source = %(source)s
  and position = any (%(positions)s)
  and resolved_at is null
