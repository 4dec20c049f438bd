-- Fills: resolved_at of open rejects whose message, judged again, is good now.
-- Reads: staging_kiosk, staging_reject; messages that are stored already leave both, whatever today's rules say; returns how many.
-- Twice is safe: only open rejects are resolved, and the second time no stored message is found.
-- Those in the archive are counted apart: they are known by their place, at which no reject is open.
update meta.rejected_records r
set resolved_at = now()
from staging_kiosk s
join event_source e on e.source_id = s.source_id
where r.source = source_name(e)
  and r.position = s.row::text
  and r.resolved_at is null;

with stored_press as (
    delete from staging_kiosk s
    where exists (select from review r where r.source_id = s.source_id and r.position = s.row)
       or exists (select from incident i where i.source_id = s.source_id and i.position = s.row)
    returning s.row
),
stored_reject as (
    delete from staging_reject s
    using event_source e
    where s.source = source_name(e)
      and (
          exists (select from review r where r.source_id = e.source_id and r.position = s.position::bigint)
          or exists (select from incident i where i.source_id = e.source_id and i.position = s.position::bigint)
      )
    returning s.position
),
archived_reject as (
    delete from staging_reject s
    using event_source e
    where s.source = source_name(e)
      and 'archived' = any (s.reasons)
      and exists (
          select
          from archived_source a
          where a.source_id = e.source_id
            and s.position::bigint between a.first_position and a.last_position
      )
      and not exists (
          select
          from meta.rejected_records r
          where r.source = s.source
            and r.position = s.position
            and r.resolved_at is null
      )
    returning s.position
)
select (select count(*) from stored_press) + (select count(*) from stored_reject),
       (select count(*) from archived_reject)
