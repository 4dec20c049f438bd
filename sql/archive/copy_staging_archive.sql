-- Fills: staging_archive with the rows of a month's file.
-- Reads: the client's stream, as copy_month.sql wrote it.
-- Twice is safe: the TEMP table is made anew for every month.
copy staging_archive from stdin with (format csv, header)
