-- Fills: nothing.
-- Reads: silver.built_by.
-- Twice is safe: it only reads.
select rule_version from silver.built_by where entity_type = %(entity_type)s
