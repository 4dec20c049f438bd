-- Reads: meta.transform_state: how an entity was last built, and what has changed of those that it needs.
select (select rule_version from meta.transform_state where entity_type = %(entity_type)s) as rule_version,
       (select built_upon from meta.transform_state where entity_type = %(entity_type)s) as built_upon,
       (select coalesce(jsonb_object_agg(entity_type, changed_by_run), '{}')
        from meta.transform_state
        where entity_type = any (%(needs)s)) as changes
