-- Reads: review and incident: how many presses of each of the given objects the tables hold.
select source_id, sum(presses)::bigint
from (
    select source_id, count(*) as presses from review where source_id = any(%(source_ids)s) group by source_id
    union all
    select source_id, count(*) from incident where source_id = any(%(source_ids)s) group by source_id
) held
group by source_id
