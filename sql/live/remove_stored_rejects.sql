-- Fills: nothing; messages that were read again and are stored already leave staging_reject, whatever today's rules say.
-- Reads: event_source, review, incident, by provenance.
-- Twice is safe: the second time finds none.
delete from staging_reject s
using (
    select k.source, k.position
    from staging_reject k
    join event_source e on k.source = concat('kafka://', e.cluster, '/', e.topic, '/', e.partition)
    join review r on r.source_id = e.source_id and r.position = k.position::bigint
    union all
    select k.source, k.position
    from staging_reject k
    join event_source e on k.source = concat('kafka://', e.cluster, '/', e.topic, '/', e.partition)
    join incident i on i.source_id = e.source_id and i.position = k.position::bigint
) stored
where s.source = stored.source
  and s.position = stored.position
