-- Fills: the empty review table with the staged ratings, in time order.
-- Reads: staging_kiosk (accepted rows only by now), staging_object.
-- Twice is safe: the unique key (source_id, position) is put back afterwards in the same transaction and would refuse it.
insert into review (exhibition_id, at, rating_id, source_id, position)
select site_exhibition_id(s.site), s.at, s.val, o.source_id, s.row
from staging_kiosk s
join staging_object o on o.object = s.object
where s.val <> -1
