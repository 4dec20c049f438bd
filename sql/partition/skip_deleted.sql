-- Fills: event_source.next_offset of a partition whose next messages retention has deleted; nobody can compare them any more.
-- Reads: event_source.
-- Twice is safe: the stored offset never moves back.
update event_source
set next_offset = %(first_offset)s,
    last_message = null
where source_id = %(source_id)s
  and fencing_token = %(token)s
  and next_offset < %(first_offset)s
