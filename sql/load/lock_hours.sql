-- Fills: nothing; keeps folds away from the hourly counts until the commit.
-- Reads: nothing.
-- Twice is safe: a lock that is held is held.
select lock_hours()
