-- Fills: event_source.topic of a partition whose topic was re-created, and the source of its rejects: all of it lies under "topic#n" now.
-- Reads: event_source; no topic's name has a "#" of its own.
-- Twice is safe: the second time there is no row of that name, or it is a later topic's, which gets the next number.
with retired as (
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
),
renamed as (
    update meta.rejected_records
    set source = concat('kafka://', %(cluster)s::text, '/', retired.topic, '/', %(partition)s)
    from retired
    where source = concat('kafka://', %(cluster)s::text, '/', %(topic)s::text, '/', %(partition)s)
)
select topic
from retired
