-- Fills: tmdb_data.loaded_day: the day that a table holds from now on, and by which run that day came into staging.
-- Reads: nothing.
-- Twice is safe: keyed by the table's name.
insert into tmdb_data.loaded_day (table_name, as_of, run_id, loaded_at)
values (%(table)s, %(as_of)s, %(run_id)s, now())
on conflict (table_name) do update set
    as_of = excluded.as_of,
    run_id = excluded.run_id,
    loaded_at = excluded.loaded_at
