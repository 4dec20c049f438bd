-- Reads: staging_reject, meta.rejected_records: how often each reason was given to what this run is the first to reject.
select reason, count(*)
from staging_reject s
join meta.rejected_records r using (source, position)
cross join unnest(r.reasons) as reason
where r.run_id = %(run_id)s
group by reason
order by reason
