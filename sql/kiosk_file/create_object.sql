-- Fills: object, which of the judged files belongs to which object.
-- Reads: the keys that the program gives, in the order of the files.
-- Twice is safe: it replaces the table.
create or replace table object as
select unnest(range(len($keys::varchar[])))::ubigint as file_index,
       unnest($keys::varchar[])::object_key as object
