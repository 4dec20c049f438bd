-- Reads: the latest press between two moments, the open rejects, and what meta.ingestion_runs says of the live consumers: how many
-- were heard from since a moment and how far they are behind, else how and when the last of them was heard from.
with live as (
    select status,
           (metadata -> 'live' ->> 'lag')::bigint as lag,
           coalesce(completed_at, (metadata ->> 'reported_at')::timestamptz, started_at) as heard_at
    from meta.ingestion_runs
    where source_system = 'museum'
      and entity_type = 'live'
)
select greatest(
           (select max(latest.at)
            from exhibition e
            cross join lateral (
                select max(r.at) as at
                from review r
                where r.exhibition_id = e.exhibition_id and r.at >= %(earliest)s and r.at < %(latest)s
            ) latest),
           (select max(at) from incident where at >= %(earliest)s and at < %(latest)s)
       ) as latest_press,
       (select count(*) from meta.rejected_records where resolved_at is null) as open_rejects,
       (select count(*) from live where status = 'running' and heard_at >= %(heard_since)s) as consumers,
       (select sum(lag)::bigint from live where status = 'running' and heard_at >= %(heard_since)s) as lag,
       (select status from live order by heard_at desc, status desc limit 1) as status,
       (select max(heard_at) from live) as heard_at
