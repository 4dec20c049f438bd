-- Fills: review with the rows of a month's file, and rejected_records with the reason to judge late rows again; returns how many rows.
-- Reads: staging_archive; archived_month and archived_source, whose rows of that month go, which moves the border back.
-- Twice is safe: unique by provenance. The month's hourly counts go, and the triggers count its reviews anew.
-- Later months are back already, or would be in a dry run.
select lock_hours();

delete from review_hour h
using archived_month m
where m.month = %(month)s::date
  and h.hour < m.ends_at
  and h.hour >= coalesce((select max(ends_at) from archived_month where month < m.month), '-infinity');

delete from review_hour_change h
using archived_month m
where m.month = %(month)s::date
  and h.hour < m.ends_at
  and h.hour >= coalesce((select max(ends_at) from archived_month where month < m.month), '-infinity');

delete from archived_source
where month >= %(month)s::date;

delete from archived_month
where month >= %(month)s::date;

insert into review (review_id, exhibition_id, at, rating_id, source_id, position)
overriding system value
select review_id, exhibition_id, (at + microsecond * interval '1 microsecond') at time zone 'UTC', rating_id, source_id, position
from staging_archive
order by at, source_id, position;

update meta.rejected_records
set reasons = array_replace(reasons, 'archived', 'restored')
where resolved_at is null
  and 'archived' = any (reasons)
  and source not like 'kafka://%%';

select count(*)
from staging_archive
