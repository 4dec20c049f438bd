-- Fills: bronze.raw_entities with a tombstone for every record that a complete listing did not name, and its head.
-- Reads: bronze.entity_heads, vanished_key.
-- Twice is safe: a deleted record gets no second tombstone.
with vanished as (
    select h.external_id, h.entity_hash, h.hash_version
    from vanished_key v
    join bronze.entity_heads h using (external_id)
    where h.source_system = %(source_system)s
      and h.entity_type = %(entity_type)s
      and not h.is_deleted
),
stored as (
    insert into bronze.raw_entities (
        source_system, entity_type, external_id, raw_data, entity_hash, hash_version, is_tombstone, ingestion_run_id
    )
    select %(source_system)s, %(entity_type)s, external_id, '{}', entity_hash, hash_version, true, %(run_id)s::uuid
    from vanished
    order by external_id
    returning external_id, raw_id
)
update bronze.entity_heads h
set raw_id = s.raw_id,
    last_changed_run = %(run_id)s::uuid,
    is_deleted = true
from stored s
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and h.external_id = s.external_id
