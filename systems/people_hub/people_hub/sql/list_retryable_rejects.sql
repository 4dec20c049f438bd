-- Fills: nothing.
-- Reads: meta.rejected_records: a stream's open ones, and whether bronze has got a newer version of the same key since.
-- Twice is safe: it only reads.
select j.position,
       j.raw,
       j.reasons,
       coalesce(r.ingested_at > j.last_seen, false) as is_superseded
from meta.rejected_records j
left join bronze.entity_heads h
    on h.source_system = %(source_system)s
    and h.entity_type = %(entity_type)s
    and h.external_id = j.position
left join bronze.raw_entities r on r.raw_id = h.raw_id
where j.source = %(source)s
  and j.resolved_at is null
order by j.last_seen, j.position
