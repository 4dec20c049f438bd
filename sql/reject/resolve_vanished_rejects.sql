-- Fills: resolved_at of open rejects of whole files and of exhibitions whose object is not in the bucket any more.
-- Reads: meta.rejected_records; the sources that this run saw. Rejected rows stay open: their object's rows stay too.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records
set resolved_at = now()
where resolved_at is null
  and starts_with(source, %(prefix)s)
  and source <> all (%(seen)s)
  and (position = 'file' or starts_with(position, 'record '))
