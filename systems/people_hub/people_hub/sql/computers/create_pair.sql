-- Fills: nothing; creates the TEMP table of the records of TeamDynamix and KeyConfigure that are one computer.
-- Reads: nothing.
-- Twice is safe: one a transaction; a record is in one pair at most.
create temporary table staging_pair (tdx_key text unique, card_key text unique) on commit drop
