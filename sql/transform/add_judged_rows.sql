-- Fills: kiosk with rows of one file that the rules in museum/kiosk.py accepted.
-- Reads: the columns that the program gives.
-- Twice is safe: the table is made anew for every transform.
insert into kiosk
select unnest($at_utc::timestamp[]),
       unnest($offset_minutes::smallint[]),
       unnest($site::integer[]),
       unnest($val::smallint[]),
       unnest($type::smallint[]),
       $object_number,
       unnest($row_number::bigint[])
