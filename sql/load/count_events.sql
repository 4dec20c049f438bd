-- Fills: nothing.
-- Reads: how many reviews and incidents there are after a bulk load into empty tables.
-- Twice is safe: it only reads.
select (select count(*) from review),
       (select count(*) from incident)
