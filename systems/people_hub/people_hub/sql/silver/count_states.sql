-- Reads: staging_record, dirty_key.
select (select count(*) from dirty_key) as keys,
       count(*) filter (where known_hash is null) as new,
       count(*) filter (where known_hash <> entity_hash) as changed,
       count(*) filter (where known_hash = entity_hash) as unchanged,
       count(*) filter (where quality_flags <> '[]') as flagged,
       round(avg(data_quality_score), 4) as average_score
from staging_record
