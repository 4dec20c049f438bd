-- Fills: nothing; creates the TEMP table of the keys that are built anew in this transaction.
-- Reads: nothing.
-- Twice is safe: one a transaction.
create temporary table dirty_key (record_key text collate "C" primary key) on commit drop
