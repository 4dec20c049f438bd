-- Fills: resolved_at of the open rejects of an entity that this run has judged and found good, or gone.
-- Reads: meta.rejected_records, staging_reject, dirty_key, staging_stale_head.
-- Twice is safe: what is resolved is not open any more.
update meta.rejected_records r
set resolved_at = now()
where r.source = %(source)s
  and r.resolved_at is null
  and not exists (select from staging_reject s where s.source = r.source and s.position = r.position)
  and (%(is_whole)s
       or r.position in (select record_key from dirty_key)
       or r.position in (select stream || ' ' || external_id from staging_stale_head))
