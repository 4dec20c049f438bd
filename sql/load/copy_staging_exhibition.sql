-- Fills: staging_exhibition from the combined exhibition file, which quotes everything; its header was checked.
-- Reads: the client's stream.
-- Twice is safe: the TEMP table is made anew by every run.
copy staging_exhibition (exhibition_name, exhibition_code, floor, department, start_date, description, object, record)
from stdin with (format csv, header, force_null (floor, department, start_date, description))
