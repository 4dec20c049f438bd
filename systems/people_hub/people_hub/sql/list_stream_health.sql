-- Fills: nothing.
-- Reads: meta.stream_health.
-- Twice is safe: it only reads.
select source_system || '/' || entity_type as stream,
       status,
       started_at,
       last_success_at,
       last_full_at,
       records,
       deleted,
       open_rejects,
       error_message
from meta.stream_health
where (source_system || '/' || entity_type) = any (%(streams)s)
order by 1
