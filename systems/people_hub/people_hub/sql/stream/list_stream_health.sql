-- Reads: meta.stream_health.
select replace(source_system, 'silver_transformation', 'silver') || '/' || entity_type as stream,
       status,
       started_at,
       last_success_at,
       last_full_at,
       records,
       deleted,
       open_rejects,
       error_message
from meta.stream_health
where (replace(source_system, 'silver_transformation', 'silver') || '/' || entity_type) = any (%(streams)s)
order by 1
