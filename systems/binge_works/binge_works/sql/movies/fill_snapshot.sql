-- Fills: tmdb_data.popularity_snapshot: this list as it stands on this day.
-- Reads: staging.popular_movies.
-- Twice is safe: keyed by list, day and id; a row that is equal is not touched.
insert into tmdb_data.popularity_snapshot as p (list, as_of, id, rank, popularity, vote_average, vote_count)
select 'movies', s.as_of, s.id, s.rank, s.popularity, s.vote_average, s.vote_count
from staging.popular_movies s
on conflict (list, as_of, id) do update set
    rank = excluded.rank,
    popularity = excluded.popularity,
    vote_average = excluded.vote_average,
    vote_count = excluded.vote_count
where (p.rank, p.popularity, p.vote_average, p.vote_count)
    is distinct from (excluded.rank, excluded.popularity, excluded.vote_average, excluded.vote_count)
