-- Reads: meta.rejected_records: the live messages rejected since a moment, by reasons, with the longest one of each.
select array_to_string(reasons, ', '),
       count(*) as messages,
       (array_agg(
           case when octet_length(raw) > 72 then left(encode(raw, 'escape'), 69) || '...' else encode(raw, 'escape') end
           order by octet_length(raw) desc
       ))[1] as example
from meta.rejected_records
where starts_with(source, 'kafka://')
  and first_seen >= %(began)s
group by reasons
order by messages desc, reasons
