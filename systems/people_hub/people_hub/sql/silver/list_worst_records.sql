-- Reads: silver.v_quality.
select entity, record_key, score, source_system, quality_flags
from silver.v_quality
where flags > 0
order by score, entity, record_key
limit %(limit)s
