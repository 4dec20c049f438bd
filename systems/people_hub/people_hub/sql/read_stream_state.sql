-- Fills: nothing.
-- Reads: meta.stream_state: where the next incremental listing starts.
-- Twice is safe: it only reads.
select watermark
from meta.stream_state
where source_system = %(source_system)s
  and entity_type = %(entity_type)s
