-- Reads: staging_record.
-- The worst come first.
select record_key, data_quality_score, quality_flags
from staging_record
where quality_flags <> '[]'
order by data_quality_score, record_key
limit %(limit)s
