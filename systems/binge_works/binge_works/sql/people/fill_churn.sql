-- Fills: tmdb_data.people_churn: how the list of this day differs from the one of the day before that was loaded.
-- Reads: tmdb_data.popularity_snapshot.
-- Twice is safe: keyed by day; a row that is equal is not touched.
insert into tmdb_data.people_churn as c (as_of, compared, listed, entered, gone)
select %(as_of)s,
       b.as_of,
       count(t.id),
       count(t.id) filter (where y.id is null),
       count(y.id) filter (where t.id is null)
from (
    select max(as_of) as as_of
    from tmdb_data.popularity_snapshot
    where list = 'people' and as_of < %(as_of)s
) b
cross join lateral (
    select id from tmdb_data.popularity_snapshot where list = 'people' and as_of in (%(as_of)s, b.as_of) group by id
) e
left join tmdb_data.popularity_snapshot t on t.list = 'people' and t.as_of = %(as_of)s and t.id = e.id
left join tmdb_data.popularity_snapshot y on y.list = 'people' and y.as_of = b.as_of and y.id = e.id
group by b.as_of
on conflict (as_of) do update set
    compared = excluded.compared,
    listed = excluded.listed,
    entered = excluded.entered,
    gone = excluded.gone
where (c.compared, c.listed, c.entered, c.gone)
    is distinct from (excluded.compared, excluded.listed, excluded.entered, excluded.gone)
