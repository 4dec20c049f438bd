-- Reads: meta.stream_state: where the next incremental listing starts.
select watermark
from meta.stream_state
where source_system = %(source_system)s
  and entity_type = %(entity_type)s
