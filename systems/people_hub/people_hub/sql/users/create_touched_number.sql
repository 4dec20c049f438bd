-- Fills: nothing; creates the TEMP table of the employee numbers whose records are stale.
-- Reads: nothing.
-- Twice is safe: one a transaction.
create temporary table touched_number (empl_id text collate "C" primary key) on commit drop
