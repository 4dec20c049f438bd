-- Fills: nothing; keeps the archive's border where it is until the transaction ends.
-- Reads: the known sites (from the exhibitions' codes), ratings and incident types, as three arrays, and the border, if any.
-- Twice is safe: a lock that is held is held. It is taken by a statement of its own, so that the next one sees what it waited for.
select hold_border(false);

select array(select substr(exhibition_code, 5)::integer from exhibition where exhibition_code ~ '^EXH_[0-9]{1,9}$'),
       array(select rating_id from rating_desc),
       array(select incident_type_id from incident_type),
       (select max(ends_at) from archived_month)
