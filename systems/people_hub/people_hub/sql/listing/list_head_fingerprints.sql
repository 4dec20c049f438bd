-- Fills: nothing; returns the fingerprints of the living heads on some pages of the table, one after the other, see fingerprints.py.
-- Reads: bronze.entity_heads.
-- Twice is safe: it only reads. By the table's pages, since one answer for a stream of any size would not fit into memory.
select string_agg(
           substring(sha256(convert_to(h.external_id || h.entity_hash || h.hash_version, 'UTF8')) for %(bytes)s), ''
       ) as fingerprints
from bronze.entity_heads h
where h.ctid >= %(first)s::tid
  and h.ctid < %(end)s::tid
  and h.source_system = %(source_system)s
  and h.entity_type = %(entity_type)s
  and not h.is_deleted
