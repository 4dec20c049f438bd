-- Fills: seen_key with the page's keys; returns every record of the page that is not simply unchanged.
-- Reads: staging_listing, seen_key, bronze.entity_heads.
-- Twice is safe: a key stands in seen_key once; bronze is only read.
with first_of_page as (
    select distinct on (external_id) ord, external_id, entity_hash
    from staging_listing
    order by external_id, ord
),
fresh as (
    insert into seen_key as k (external_id, entity_hash)
    select external_id, entity_hash
    from first_of_page
    on conflict (external_id) do update
        set entity_hash = excluded.entity_hash
        where k.entity_hash is null
    returning external_id
),
judged as (
    select s.ord,
           s.external_id,
           case
               when f.external_id is null or s.ord <> p.ord then
                   case
                       when coalesce(k.entity_hash, p.entity_hash) = s.entity_hash then 'repeated'
                       else 'conflicting'
                   end
               when h.external_id is null or h.is_deleted then 'new'
               when h.entity_hash = s.entity_hash and h.hash_version = %(hash_version)s then 'unchanged'
               when h.hash_version <> %(hash_version)s then 'hashed_by_other_rule'
               else 'changed'
           end as state
    from staging_listing s
    join first_of_page p on p.external_id = s.external_id
    left join fresh f on f.external_id = s.external_id
    left join seen_key k on k.external_id = s.external_id
    left join bronze.entity_heads h
        on h.source_system = %(source_system)s
        and h.entity_type = %(entity_type)s
        and h.external_id = s.external_id
)
select ord, state
from judged
where state <> 'unchanged'
