-- Fills: resolved_at of open rejects of details whose listed record is not there any more.
-- Reads: meta.rejected_records, bronze.entity_heads of what the stream is the detail of.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records r
set resolved_at = now()
where r.source = %(source)s
  and r.resolved_at is null
  and not exists (
      select from bronze.entity_heads l
      where l.source_system = %(source_system)s
        and l.entity_type = %(detail_of)s
        and l.external_id = r.position
        and not l.is_deleted
  )
