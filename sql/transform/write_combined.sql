-- Fills: the combined kiosk file: at,site,val,type, then the source object and row, sorted by at.
-- Reads: kiosk, and the objects' keys in the order of their numbers.
-- Twice is safe: the file is written under a temporary name that the program moves into place.
copy (
    select (at_utc + to_minutes(offset_minutes))::varchar
               || case offset_minutes
                   when 0 then '+00:00'
                   when 60 then '+01:00'
                   else case when offset_minutes < 0 then '-' else '+' end
                       || lpad((abs(offset_minutes) // 60)::varchar, 2, '0')
                       || ':'
                       || lpad((abs(offset_minutes) % 60)::varchar, 2, '0')
               end as "at",
           site,
           val,
           type,
           list_extract($keys::varchar[], object_number) as object,
           row_number as "row"
    from kiosk
    where val is not null
    order by at_utc, object_number, row_number
) to $path (format csv, header)
