-- Fills: nothing; whether the versions of every id follow each other without gap and overlap.
-- Reads: tmdb_data.dim_shows_history.
-- Twice is safe: it only reads.
select count(*) filter (where v.next_date <> v.expiration_date or v.next_date is not null and v.expiration_date is null) = 0 as passed,
       exists (select from tmdb_data.loaded_day where table_name = %(table)s) as is_loaded,
       count(*) as versions,
       count(*) filter (where v.next_date > v.expiration_date) as gaps,
       count(*) filter (where v.next_date < v.expiration_date or v.next_date is not null and v.expiration_date is null) as overlaps
from (
    select expiration_date, lead(effective_date) over (partition by id order by effective_date) as next_date
    from tmdb_data.dim_shows_history
) v
