-- Fills: the combined kiosk file: at,site,val,type, then the source object and row, sorted by at.
-- Reads: the judged files, and object for their keys.
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
           object,
           row_number as "row"
    from (
        select r.at_utc, r.offset_minutes, r.site, r.val, r.type, o.object, r.row_number
        from (select *, file_index from read_parquet($paths)) r
        join object o using (file_index)
        order by r.at_utc, o.object, r.row_number
    )
) to $path (format csv, header)
