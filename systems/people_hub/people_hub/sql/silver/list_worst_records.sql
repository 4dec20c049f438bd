-- Fills: nothing.
-- Reads: silver.v_quality.
-- Twice is safe: it only reads.
select entity, record_key, score, source_system, quality_flags
from silver.v_quality
where flags > 0
order by score, entity, record_key
limit %(limit)s
