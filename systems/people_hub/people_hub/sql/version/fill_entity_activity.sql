-- Fills: bronze.entity_activity with when a page's records were last seen; what says the same as before is not touched.
-- Reads: bronze.entity_activity.
-- Twice is safe: keyed by record; it is no change of the record, so no version comes of it.
insert into bronze.entity_activity as a (source_system, entity_type, external_id, activity)
select %(source_system)s, %(entity_type)s, seen.external_id, seen.activity::jsonb
from unnest(%(external_ids)s::text[], %(activities)s::text[]) as seen (external_id, activity)
left join bronze.entity_activity known
    on known.external_id = seen.external_id
    and known.entity_type = %(entity_type)s
    and known.source_system = %(source_system)s
where known.activity is distinct from seen.activity::jsonb
on conflict (external_id, entity_type, source_system) do update set activity = excluded.activity
