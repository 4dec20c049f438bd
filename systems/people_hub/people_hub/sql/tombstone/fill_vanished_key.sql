-- Fills: vanished_key with the living records that the listing has named neither with a good record nor with a bad one.
-- Reads: bronze.entity_heads, unmet_fingerprint, seen_key, rejected_key.
-- Twice is safe: a run does it once, at its end.
-- Of a run with fingerprints only heads whose own was not met can have vanished, so that a head that somebody moved since
-- they were read stays; of one without them every head that was not seen.
with may_have_vanished as (
    select h.external_id
    from unmet_fingerprint u
    join bronze.entity_heads h
        on substring(sha256(convert_to(h.external_id || h.entity_hash || h.hash_version, 'UTF8')) for %(bytes)s)
            = u.fingerprint
    where h.source_system = %(source_system)s
      and h.entity_type = %(entity_type)s
      and not h.is_deleted
    union all
    select h.external_id
    from bronze.entity_heads h
    where h.source_system = %(source_system)s
      and h.entity_type = %(entity_type)s
      and not h.is_deleted
      and not %(has_fingerprints)s
)
insert into vanished_key (external_id)
select m.external_id
from may_have_vanished m
where not exists (select from seen_key k where k.external_id = m.external_id)
  and not exists (select from rejected_key j where j.external_id = m.external_id)
