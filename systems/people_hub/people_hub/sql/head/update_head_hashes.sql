-- Fills: bronze.entity_heads: the hash of unchanged records under a changed rule.
-- Reads: the given keys and hashes.
-- Twice is safe: it sets the same again.
update bronze.entity_heads h
set entity_hash = n.entity_hash,
    hash_version = %(hash_version)s
from unnest(%(external_ids)s::text[], %(entity_hashes)s::text[]) as n (external_id, entity_hash)
where h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and h.external_id = n.external_id
