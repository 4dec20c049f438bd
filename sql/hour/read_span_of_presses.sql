-- Reads: the first and the last hour that is compared, about how many presses there are, and which span the latest load compared.
-- Each end is one look into an index and one at the differences that are not folded; the number follows from the tables' size.
select least((select min(hour) from review_hour where hour >= (select archive_border())),
             (select min(hour) from review_hour_change where hour >= (select archive_border())),
             (select min(hour) from incident_hour), (select min(hour) from incident_hour_change)),
       greatest((select max(hour) from review_hour), (select max(hour) from review_hour_change),
                (select max(hour) from incident_hour), (select max(hour) from incident_hour_change)),
       (pg_relation_size('review') + pg_relation_size('incident')) / %(press_bytes)s,
       (select (metadata #>> '{load,hours_span}')::bigint
        from meta.ingestion_runs
        where source_system = 'museum' and entity_type = 'batch' and status = 'completed'
        order by started_at desc
        limit 1)
