-- Fills: resolved_at of open rejects whose key came with a good record.
-- Reads: meta.rejected_records.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records
set resolved_at = now()
where source = %(source)s
  and position = any (%(external_ids)s)
  and resolved_at is null
