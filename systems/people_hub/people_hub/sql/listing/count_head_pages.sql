-- Fills: nothing; returns how many pages the heads' table has.
-- Reads: the size of bronze.entity_heads.
-- Twice is safe: it only reads.
select pg_relation_size('bronze.entity_heads') / current_setting('block_size')::integer as pages
