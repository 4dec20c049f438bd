-- Fills: nothing; creates the type of the objects' keys, whose order is that of the list.
-- Reads: the keys that the program gives.
-- Twice is safe: the database is a new one for every merge.
create type object_key as enum (select unnest($keys::varchar[]))
