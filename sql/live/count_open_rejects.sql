-- Fills: nothing.
-- Reads: the open rejects of live messages.
-- Twice is safe: it only reads.
select count(*)
from meta.rejected_records
where resolved_at is null
  and starts_with(source, 'kafka://')
