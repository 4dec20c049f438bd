-- Fills: nothing.
-- Reads: meta.rejected_records: every reason that was ever given.
-- Twice is safe: it only reads.
select distinct reason
from meta.rejected_records
cross join unnest(reasons) as reason
order by reason
