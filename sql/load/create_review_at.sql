-- Fills: nothing; builds an index of schema.sql after a bulk load.
-- Reads: review.
-- Twice is safe: an index that is there stays.
create index if not exists review_at on review using brin (at)
