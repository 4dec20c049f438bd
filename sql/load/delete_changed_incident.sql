-- Fills: nothing; deletes incidents of changed objects that the object does not hold any more at that row.
-- Reads: staging_object, staging_kiosk (which holds accepted rows only by now).
-- Twice is safe: the second time finds nothing. Rows that stayed as they were keep their ids.
with removed as (
    delete from incident i
    using staging_object o
    where o.action = 'changed'
      and i.source_id = o.source_id
      and not exists (
          select
          from staging_kiosk s
          where s.source_id = o.source_id
            and s.row = i.position
            and s.at = i.at
            and s.val = -1
            and s.type = i.incident_type_id
            and site_exhibition_id(s.site) = i.exhibition_id
      )
    returning i.source_id
)
select source_id, count(*)
from removed
group by source_id
