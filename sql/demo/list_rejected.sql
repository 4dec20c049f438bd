-- Fills: nothing.
-- Reads: meta.rejected_records: the live messages rejected since a moment, by reasons, with one of each.
-- Twice is safe: it only reads.
select array_to_string(reasons, ', '),
       count(*) as messages,
       min(left(convert_from(raw, 'LATIN1'), 70))
from meta.rejected_records
where starts_with(source, 'kafka://')
  and first_seen >= %(began)s
group by reasons
order by messages desc, reasons
