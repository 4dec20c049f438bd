-- Fills: nothing.
-- Reads: the accepted rows in staging_kiosk and the rejected rows (not files, not exhibitions) in staging_reject.
-- Twice is safe: it only reads.
select (select count(*) from staging_kiosk),
       (select count(*) from staging_reject where position ~ '^[0-9]+$')
