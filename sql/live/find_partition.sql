-- Fills: nothing.
-- Reads: event_source, the partition's row.
-- Twice is safe: it only reads.
select source_id, next_offset, last_message, topic_id
from event_source
where cluster = %(cluster)s
  and topic = %(topic)s
  and partition = %(partition)s
