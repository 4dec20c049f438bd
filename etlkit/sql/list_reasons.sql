-- Reads: meta.rejected_records: every reason that was ever given.
select distinct reason
from meta.rejected_records
cross join unnest(reasons) as reason
order by reason
