-- Fills: nothing; the objects that are left out as copies leave staging_object.
-- Reads: staging_object.
-- Twice is safe: the second time finds none.
delete from staging_object
where object = any(%(objects)s)
