-- Fills: meta.transform_state with how an entity has just been built; the run that changed it stays where nothing changed.
-- Reads: nothing.
-- Twice is safe: keyed by entity; an equal state is not touched.
insert into meta.transform_state as t (entity_type, rule_version, changed_by_run, built_upon)
values (%(entity_type)s, %(rule_version)s, %(run_id)s::uuid, %(built_upon)s::jsonb)
on conflict (entity_type) do update set
    rule_version = excluded.rule_version,
    changed_by_run = case when %(has_changed)s then excluded.changed_by_run else t.changed_by_run end,
    built_upon = excluded.built_upon
where %(has_changed)s
   or t.rule_version is distinct from excluded.rule_version
   or t.built_upon is distinct from excluded.built_upon
