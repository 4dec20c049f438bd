-- Fills: kiosk with rows that the rules in museum/kiosk.py accepted.
-- Reads: the columns that the program gives.
-- Twice is safe: the table is made anew for every file.
insert into kiosk
select unnest($at_utc::timestamp[]),
       unnest($offset_minutes::smallint[]),
       unnest($site::integer[]),
       unnest($val::smallint[]),
       unnest($type::smallint[]),
       unnest($row_number::bigint[])
