-- Fills: nothing.
-- Reads: the open rejects of live messages, with a given reason or any but the database's own refusal.
-- Twice is safe: it only reads.
select r.source, r.position, r.raw, r.reasons, e.source_id
from event_source e
join meta.rejected_records r on r.source = concat('kafka://', e.cluster, '/', e.topic, '/', e.partition)
where e.kind = 'kafka'
  and r.resolved_at is null
  and not 'no_value' = any (r.reasons)
  and case when %(reason)s::text is null then not 'refused' = any (r.reasons) else %(reason)s = any (r.reasons) end
order by e.source_id, length(r.position), r.position
