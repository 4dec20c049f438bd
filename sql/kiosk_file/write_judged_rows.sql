-- Fills: a Parquet file with the good rows of one kiosk file, typed and sorted by time.
-- Reads: kiosk.
-- Twice is safe: the file is written under a temporary name that the program moves into place.
copy (
    select at_utc, offset_minutes, site, val, type, row_number
    from kiosk
    where val is not null
    order by at_utc, row_number
) to $path (format parquet)
