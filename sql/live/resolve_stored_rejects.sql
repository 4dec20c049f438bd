-- Fills: resolved_at of open rejects whose message, read again, is good now.
-- Reads: staging_kiosk, event_source, meta.rejected_records.
-- Twice is safe: only open rows are resolved.
update meta.rejected_records r
set resolved_at = now()
from staging_kiosk s
join event_source e on e.source_id = s.source_id
where r.source = concat('kafka://', e.cluster, '/', e.topic, '/', e.partition)
  and r.position = s.row::text
  and r.resolved_at is null
