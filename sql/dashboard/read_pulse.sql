-- Reads: the latest press between two moments, the open rejects, and what meta.ingestion_runs says of the live consumers: how many
-- were heard from since a moment and how far they are behind, else how and when the last of them was heard from.
-- The hourly counts say in which hour the latest press is; where all of an hour are gone again, the hour before is looked at. Of
-- presses in the archive the hour is known.
with recursive archive as (
    select archive_border() as border
),
counted as (
    select last_hour,
           case
               when last_hour < (select border from archive) then last_hour
               else (select max(at) from review where at >= last_hour and at < last_hour + interval '1 hour')
           end as latest
    from (
        select greatest(
            (select max(hour) from review_hour where hour >= %(earliest)s and hour < %(latest)s),
            (select max(hour) from review_hour_change where hour >= %(earliest)s and hour < %(latest)s)
        ) as last_hour
    ) newest
    union all
    select hour_before,
           case
               when hour_before < (select border from archive) then hour_before
               else (select max(at) from review where at >= hour_before and at < hour_before + interval '1 hour')
           end
    from counted
    cross join lateral (
        select greatest(
            (select max(hour) from review_hour where hour >= %(earliest)s and hour < last_hour),
            (select max(hour) from review_hour_change where hour >= %(earliest)s and hour < last_hour)
        ) as hour_before
    ) older
    where latest is null
      and last_hour is not null
),
live as (
    select status,
           (metadata -> 'live' ->> 'lag')::bigint as lag,
           coalesce(completed_at, (metadata ->> 'reported_at')::timestamptz, started_at) as heard_at
    from meta.ingestion_runs
    where source_system = 'museum'
      and entity_type = 'live'
)
select greatest(
           (select max(latest) from counted),
           (select max(at) from incident where at >= %(earliest)s and at < %(latest)s)
       ) as latest_press,
       (select count(*) from meta.rejected_records where resolved_at is null) as open_rejects,
       (select count(*) from live where status = 'running' and heard_at >= %(heard_since)s) as consumers,
       (select sum(lag)::bigint from live where status = 'running' and heard_at >= %(heard_since)s) as lag,
       (select status from live order by heard_at desc, status desc limit 1) as status,
       (select max(heard_at) from live) as heard_at
