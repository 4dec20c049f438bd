-- Reads: review, incident, meta.rejected_records: how many good messages of a replayed batch are there, and how many are rejects still.
select
    count(*) filter (where b.is_good and (r.position is not null or i.position is not null)) as presses,
    count(j.position) as rejects
from unnest(
    %(sources)s::text[], %(positions)s::text[], %(source_ids)s::integer[], %(are_good)s::boolean[]
) as b (source, position, source_id, is_good)
left join review r on r.source_id = b.source_id and r.position = b.position::bigint
left join incident i on i.source_id = b.source_id and i.position = b.position::bigint
left join meta.rejected_records j
    on j.source = b.source
    and j.position = b.position
    and j.resolved_at is null
