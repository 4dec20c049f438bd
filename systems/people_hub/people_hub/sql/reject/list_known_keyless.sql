-- Fills: nothing; the positions of a stream's open rejects without a key that were open at its last whole listing already.
-- Reads: meta.rejected_records, meta.stream_state, meta.ingestion_runs.
-- Twice is safe: it only reads. A run that was pruned from the history is older than those that are there.
select j.position
from meta.rejected_records j
join meta.stream_state s
    on s.source_system = %(source_system)s
    and s.entity_type = %(entity_type)s
join meta.ingestion_runs whole on whole.run_id = s.last_full_run_id
left join meta.ingestion_runs opened on opened.run_id = j.run_id
where j.source = %(source)s
  and j.resolved_at is null
  and j.position like 'no key %%'
  and (opened.run_id is null or opened.started_at <= whole.started_at)
