-- Fills: bronze.raw_entities with a tombstone for every detail whose listed record has vanished, and its head.
-- Reads: bronze.entity_heads of the detail and of what it is the detail of.
-- Twice is safe: a deleted detail gets no second tombstone.
with vanished as (
    select d.external_id, d.entity_hash, d.hash_version
    from bronze.entity_heads d
    join bronze.entity_heads l
        on l.source_system = d.source_system
        and l.entity_type = %(detail_of)s
        and l.external_id = d.external_id
    where d.source_system = %(source_system)s
      and d.entity_type = %(entity_type)s
      and not d.is_deleted
      and l.is_deleted
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
