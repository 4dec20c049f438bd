-- Fills: a file with the rows of some objects, in the order and form of the combined kiosk file.
-- Reads: the combined kiosk file, and the keys that the program gives.
-- Twice is safe: it writes a temporary file.
copy (
    select "at", site, val, type, object, "row"
    from read_csv(
        $path,
        columns = {'at': 'VARCHAR', 'site': 'VARCHAR', 'val': 'VARCHAR', 'type': 'VARCHAR', 'object': 'VARCHAR', 'row': 'VARCHAR'},
        header = true,
        auto_detect = false
    )
    where object in (select unnest($keys::varchar[]))
) to $part_path (format csv, header)
