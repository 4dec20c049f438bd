-- Fills: nothing; creates the TEMP table of the directory's computers and those of the other sources that they are.
-- Reads: nothing.
-- Twice is safe: one a transaction; a record is in one pair at most.
create temporary table staging_directory_pair (ad_key text unique, place bigint unique) on commit drop
