-- Fills: silver.built_by with the version of the rules by which an entity has just been built.
-- Reads: nothing.
-- Twice is safe: keyed by entity; an equal version is not touched.
insert into silver.built_by as t (entity_type, rule_version)
values (%(entity_type)s, %(rule_version)s)
on conflict (entity_type) do update set rule_version = excluded.rule_version
where t.rule_version is distinct from excluded.rule_version
