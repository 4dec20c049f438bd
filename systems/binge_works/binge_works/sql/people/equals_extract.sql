-- Fills: nothing; whether staging holds one load, and all that the run which brought it took from the list.
-- Reads: staging.popular_people, meta.ingestion_runs.
-- Twice is safe: it only reads.
select count(*) > 0
           and count(distinct (s.as_of, s.run_id)) = 1
           and coalesce(min(r.records_processed) - min((r.metadata ->> 'duplicates')::bigint)
                   - min((r.metadata ->> 'rejected')::bigint) = count(*), true) as passed,
       exists (select from tmdb_data.loaded_day where table_name = %(table)s) as is_loaded,
       count(*) as staged,
       min(r.records_processed) as extracted,
       min((r.metadata ->> 'duplicates')::bigint) as duplicates,
       min((r.metadata ->> 'rejected')::bigint) as rejected
from staging.popular_people s
left join meta.ingestion_runs r on r.run_id = s.run_id and r.status = 'completed'
