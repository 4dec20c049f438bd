-- Fills: meta.rejected_records from staging_reject; the count is of records that were not open with this text before.
-- Reads: staging_reject, meta.rejected_records.
-- Twice is safe: unique by provenance (source, position); a record that is open already only gets its reasons and last_seen.
with before as materialized (
    select distinct s.source, s.position
    from staging_reject s
    join meta.rejected_records r
        on r.source = s.source
        and r.position = s.position
        and r.resolved_at is null
        and r.raw = s.raw
),
filled as (
    insert into meta.rejected_records as r (source, position, raw, reasons, run_id)
    select distinct on (source, position) source, position, raw, reasons, %(run_id)s::uuid
    from staging_reject
    order by source, position
    on conflict (source, position) do update
        set raw = excluded.raw,
            reasons = excluded.reasons,
            run_id = case when r.resolved_at is null and r.raw = excluded.raw then r.run_id else excluded.run_id end,
            last_seen = now(),
            resolved_at = null
    returning r.source, r.position
)
select count(*) filter (where b.source is null) as new_records,
       count(*) filter (where b.source is not null) as open_before
from filled f
left join before b on b.source = f.source and b.position = f.position
