-- Fills: nothing.
-- Reads: staging_record.
-- Twice is safe: it only reads.
select record_key, known_hash is null as is_new
from staging_record
where known_hash is distinct from entity_hash
order by record_key
limit %(limit)s
