-- Fills: nothing; deletes presses of changed objects that the object does not hold any more at that row; counts them by object.
-- Reads: staging_object, staging_kiosk (which holds accepted rows only by now).
-- Twice is safe: the second time finds nothing. Rows that stayed as they were keep their ids.
with removed_review as (
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
),
removed_incident as (
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
from (
    select source_id from removed_review
    union all
    select source_id from removed_incident
) removed
group by source_id
