-- Reads: the newest scores of each file, the newest first; one look into the runs' index a file, however many runs it has.
select f.id, s.quality_id, s.score
from unnest(%(files)s::integer[]) as f (id)
cross join lateral (
    select q.id as quality_id, q.score, r.run_date, r.run_hour
    from reporting.monitoring_file_run r
    join reporting.monitoring_file_data_quality q on q.monitoring_file_run_id = r.id
    where r.monitoring_file_id = f.id
    order by r.run_date desc, r.run_hour desc
    limit %(scores)s
) s
order by f.id, s.run_date desc, s.run_hour desc
