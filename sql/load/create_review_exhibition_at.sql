-- Fills: nothing; builds an index of schema.sql after a bulk load.
-- Reads: review.
-- Twice is safe: an index that is there stays.
create index if not exists review_exhibition_at on review (exhibition_id, at)
