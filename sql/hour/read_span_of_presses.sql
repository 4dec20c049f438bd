-- Reads: the first and the last hour with a press, about how many presses there are, and how many loads were completed.
-- Each end is one look into an index, and the number follows from the table's size.
select utc_hour(min(s.first_at)),
       utc_hour(max(s.last_at)),
       (pg_relation_size('review') + pg_relation_size('incident')) / %(press_bytes)s,
       (select count(*)
        from meta.ingestion_runs
        where source_system = 'museum' and entity_type = 'batch' and status = 'completed')
from exhibition e
cross join lateral (
    select least((select min(at) from review where exhibition_id = e.exhibition_id),
                 (select min(at) from incident where exhibition_id = e.exhibition_id)) as first_at,
           greatest((select max(at) from review where exhibition_id = e.exhibition_id),
                    (select max(at) from incident where exhibition_id = e.exhibition_id)) as last_at
) s
