-- Fills: staging_reject with staged reviews of the archive's time that it does not have; all reviews of that time leave staging_kiosk.
-- Reads: staging_kiosk (accepted rows only by now), archived_source, meta.rejected_records, staging_object and staging_text.
-- Twice is safe: the second time finds none. Returns of each object with archived reviews how many these are, if it has just these
-- still, and their first month. A row is known again by its place; one that was rejected is not there, though between others.
create temporary table staging_archived on commit drop as
with closed as (
    delete from staging_kiosk
    where val <> -1
      and at < (select archive_border())
    returning *
)
select c.*,
       exists (
           select
           from archived_source a
           where a.source_id = c.source_id
             and c.row between a.first_position and a.last_position
       ) and not exists (
           select
           from staging_object o
           join meta.rejected_records r on r.source = o.source and r.position = c.row::text
           where o.source_id = c.source_id
             and r.resolved_at is null
       ) as is_there
from closed c;

insert into staging_reject (source, position, raw, reasons)
select o.source, a.row::text, coalesce(k.raw, ''), array['archived']
from staging_archived a
join staging_object o on o.source_id = a.source_id
left join staging_text k on k.source_id = a.source_id and k.row = a.row
where not a.is_there;

select source_id,
       kept.reviews,
       (found.reviews, found.fingerprint) is not distinct from (kept.reviews, kept.fingerprint),
       to_char(kept.first_month, 'YYYY-MM')
from (
    select a.source_id,
           sum(a.reviews)::bigint as reviews,
           bit_xor(a.fingerprint) as fingerprint,
           min(a.month) as first_month
    from archived_source a
    join staging_object o on o.source_id = a.source_id and o.action <> 'unchanged'
    group by a.source_id
) kept
left join (
    select source_id,
           count(*) as reviews,
           bit_xor(hashtextextended(concat_ws(' ', row, extract(epoch from at), site_exhibition_id(site), val), 0)) as fingerprint
    from staging_archived
    where is_there
    group by source_id
) found using (source_id)
