-- Reads: the open rejects of the museum; a record with two reasons counts under both.
select reason,
       count(*) as rejects,
       max(r.last_seen) as last_seen
from meta.rejected_records r
cross join unnest(r.reasons) reason
where r.resolved_at is null
group by reason
order by rejects desc, reason
