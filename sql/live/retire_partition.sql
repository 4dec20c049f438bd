-- Fills: event_source.topic of a partition whose topic was re-created: its rows keep their provenance under "topic#n".
-- Reads: event_source; no topic's name has a "#" of its own.
-- Twice is safe: the second time there is no row of that name, or it is a later topic's, which gets the next number.
update event_source
set topic = %(topic)s || '#' || (
    select count(*) + 1
    from event_source e
    where e.cluster = %(cluster)s
      and e.partition = %(partition)s
      and starts_with(e.topic, %(topic)s || '#')
)
where cluster = %(cluster)s
  and topic = %(topic)s
  and partition = %(partition)s
returning topic
