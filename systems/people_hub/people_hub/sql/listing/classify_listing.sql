-- Fills: seen_key with the given keys; returns what is not simply unchanged, with the hash its key had before, in this run or its head.
-- Reads: keys and hashes of a page, seen_key, bronze.entity_heads.
-- Twice is safe: a key stands in seen_key once; bronze is only read.
-- The limits keep both lookups lookups by key: the planner knows nothing of what a page holds.
with listed as materialized (
    select s.ord, s.external_id, s.entity_hash, k.entity_hash as seen_hash
    from unnest(%(external_ids)s::text[], %(entity_hashes)s::bpchar[], %(places)s::integer[])
        as s (external_id, entity_hash, ord)
    left join lateral (
        select k.entity_hash
        from seen_key k
        where k.external_id = s.external_id
        limit 1
    ) k on true
),
remembered as (
    insert into seen_key (external_id, entity_hash)
    select external_id, entity_hash
    from listed
    where seen_hash is null
),
judged as (
    select l.ord,
           coalesce(l.seen_hash, h.entity_hash) as hash_before,
           case
               when l.seen_hash = l.entity_hash then 'repeated'
               when l.seen_hash is not null then 'conflicting'
               when h.external_id is null or h.is_deleted then 'new'
               when h.hash_version <> %(hash_version)s then 'hashed_by_other_rule'
               when h.entity_hash = l.entity_hash then 'unchanged'
               else 'changed'
           end as state
    from listed l
    left join lateral (
        select h.external_id, h.entity_hash, h.hash_version, h.is_deleted
        from bronze.entity_heads h
        where h.source_system = %(source_system)s
          and h.entity_type = %(entity_type)s
          and h.external_id = l.external_id
        limit 1
    ) h on true
)
select ord, state, hash_before
from judged
where state <> 'unchanged'
