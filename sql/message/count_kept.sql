-- Reads: review, incident: how many messages of a batch are there; staging_reject, meta.rejected_records: how many are open rejects.
select
    coalesce(sum(r.found + i.found), 0)::bigint as presses,
    (
        select count(*)
        from staging_reject s
        join meta.rejected_records j on j.source = s.source and j.position = s.position
        where j.resolved_at is null
    ) as rejects
from unnest(%(source_ids)s::integer[], %(firsts)s::bigint[], %(lasts)s::bigint[]) as b (source_id, first, last)
cross join lateral (
    select count(*) as found
    from review
    where source_id = b.source_id
      and position between b.first and b.last
) r
cross join lateral (
    select count(*) as found
    from incident
    where source_id = b.source_id
      and position between b.first and b.last
) i
