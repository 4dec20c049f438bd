-- Fills: nothing; messages that were read again and are stored already leave staging_kiosk.
-- Reads: review, incident, by provenance.
-- Twice is safe: the second time finds none.
delete from staging_kiosk s
using (
    select k.source_id, k.row
    from staging_kiosk k
    join review r on r.source_id = k.source_id and r.position = k.row
    union all
    select k.source_id, k.row
    from staging_kiosk k
    join incident i on i.source_id = k.source_id and i.position = k.row
) stored
where s.source_id = stored.source_id
  and s.row = stored.row
