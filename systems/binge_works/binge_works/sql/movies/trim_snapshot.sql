-- Fills: tmdb_data.popularity_snapshot: what an earlier load of this day had in the list, and this one has not, goes.
-- Reads: staging.popular_movies, tmdb_data.popularity_snapshot.
-- Twice is safe: what is gone is gone.
delete from tmdb_data.popularity_snapshot p
where p.list = 'movies'
  and p.as_of = %(as_of)s
  and not exists (select from staging.popular_movies s where s.id = p.id)
