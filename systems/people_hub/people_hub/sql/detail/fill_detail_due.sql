-- Fills: the TEMP table detail_due with the records whose detail is to be fetched, the most urgent first.
-- Reads: bronze.entity_heads, bronze.detail_fetches, meta.rejected_records: what failed waits a day and behind the others.
-- Twice is safe: one a session, and a session is one run. Ages are spread by key, so that details do not fall due together.
create temporary table detail_due as
select row_number() over (order by reason, fetched_at nulls first, external_id) as ord,
       external_id,
       raw_id as listed_raw_id,
       reason
from (
    select l.external_id,
           l.raw_id,
           f.fetched_at,
           case
               when r.position is not null then
                   case when r.last_seen < now() - interval '1 day' or %(full_sync)s then 'e failed before' end
               when f.external_id is null then 'a never fetched'
               when f.listed_raw_id <> l.raw_id then 'b changed in the listing'
               when %(full_sync)s then 'c full sync'
               when f.fetched_at < now() - make_interval(
                   secs => 86400.0 * %(max_age_days)s * (0.5 + abs(hashtext(l.external_id)::bigint) %% 1000 / 2000.0)
               ) then 'd old'
           end as reason
    from bronze.entity_heads l
    left join bronze.detail_fetches f
        on f.source_system = l.source_system
        and f.entity_type = %(entity_type)s
        and f.external_id = l.external_id
    left join meta.rejected_records r
        on r.source = %(source)s
        and r.position = l.external_id
        and r.resolved_at is null
    where l.source_system = %(source_system)s
      and l.entity_type = %(detail_of)s
      and not l.is_deleted
) every
where reason is not null
