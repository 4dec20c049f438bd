-- Reads: staging_record.
-- So many of the new ones, and so many of the changed ones.
select record_key, is_new
from (
    select record_key,
           known_hash is null as is_new,
           row_number() over (partition by known_hash is null order by record_key) as place
    from staging_record
    where known_hash is distinct from entity_hash
) written
where %(limit)s::bigint is null
   or place <= %(limit)s::bigint
order by record_key
