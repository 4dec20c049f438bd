-- Fills: nothing; keeps everybody else from review and incident until the transaction ends.
-- Reads: nothing.
-- Twice is safe: a lock that is held is held.
lock table review, incident in access exclusive mode
