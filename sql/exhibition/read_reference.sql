-- Reads: the known sites (from the exhibitions' codes), ratings and incident types, as three arrays.
select array(select substr(exhibition_code, 5)::integer from exhibition where exhibition_code ~ '^EXH_[0-9]{1,9}$'),
       array(select rating_id from rating_desc),
       array(select incident_type_id from incident_type)
