-- Fills: nothing; the columns of a table and their types, in order.
-- Reads: the catalogue.
-- Twice is safe: it only reads.
select a.attname as column_name,
       format_type(a.atttypid, a.atttypmod) as type
from pg_attribute a
where a.attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
  and a.attnum > 0
  and not a.attisdropped
order by a.attnum
