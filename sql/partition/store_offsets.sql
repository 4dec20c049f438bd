-- Fills: event_source with how far the partitions have come, and the live run's counts, in the transaction of their rows.
-- Reads: event_source; a partition whose fencing token is not ours any more is left alone, and the caller rolls back.
-- Twice is safe: the stored offset never moves back; a batch that is read again was rolled back, its counts included.
update meta.ingestion_runs
set records_processed = records_processed + %(processed)s,
    records_created = records_created + %(created)s
where run_id = %(run_id)s;

update event_source s
set next_offset = greatest(s.next_offset, b.next_offset),
    last_message = case when b.next_offset > s.next_offset then b.last_message else s.last_message end,
    rows = s.rows + b.rows,
    loaded_at = now(),
    run_id = %(run_id)s::uuid
from unnest(
    %(source_ids)s::integer[], %(tokens)s::bigint[], %(next_offsets)s::bigint[], %(last_messages)s::text[], %(rows)s::bigint[]
) as b (source_id, token, next_offset, last_message, rows)
where s.source_id = b.source_id
  and s.fencing_token = b.token
