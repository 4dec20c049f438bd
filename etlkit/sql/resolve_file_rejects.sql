-- Fills: resolved_at of open rejects of whole files (position "file") that can be read now.
-- Reads: meta.rejected_records.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records
set resolved_at = now()
where source = any (%(sources)s)
  and position = 'file'
  and resolved_at is null
