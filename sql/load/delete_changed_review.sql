-- Fills: nothing; deletes reviews of changed objects that the object does not hold any more at that row.
-- Reads: staging_object, staging_kiosk (which holds accepted rows only by now).
-- Twice is safe: the second time finds nothing. Rows that stayed as they were keep their ids.
with removed as (
    delete from review r
    using staging_object o
    where o.action = 'changed'
      and r.source_id = o.source_id
      and not exists (
          select
          from staging_kiosk s
          where s.source_id = o.source_id
            and s.row = r.position
            and s.at = r.at
            and s.val = r.rating_id
            and site_exhibition_id(s.site) = r.exhibition_id
      )
    returning r.source_id
)
select source_id, count(*)
from removed
group by source_id
