-- Fills: tmdb_data.popular_movies: staged items (those in English), where they are new or differ; counted with those that stand there already.
-- Reads: staging.popular_movies, tmdb_data.popular_movies.
-- Twice is safe: keyed by id; a row that is equal is not touched.
with listed as (
    select id,
           title, original_title, popularity, release_date, video, vote_average, vote_count, adult, genre_ids,
           original_language, overview, backdrop_path, poster_path
    from staging.popular_movies
    where original_language = 'en'
),
unchanged as (
    select count(*) as items
    from listed l
    join tmdb_data.popular_movies d on d.id = l.id
    where (d.title, d.original_title, d.popularity, d.release_date, d.video, d.vote_average, d.vote_count,
           d.adult, d.genre_ids, d.original_language, d.overview, d.backdrop_path, d.poster_path)
        is not distinct from
          (l.title, l.original_title, l.popularity, l.release_date, l.video, l.vote_average, l.vote_count,
           l.adult, l.genre_ids, l.original_language, l.overview, l.backdrop_path, l.poster_path)
),
filled as (
    insert into tmdb_data.popular_movies as d (
        id,
        title, original_title, popularity, release_date, video, vote_average, vote_count, adult, genre_ids,
        original_language, overview, backdrop_path, poster_path
    )
    select * from listed
    on conflict (id) do update set
        title = excluded.title,
        original_title = excluded.original_title,
        popularity = excluded.popularity,
        release_date = excluded.release_date,
        video = excluded.video,
        vote_average = excluded.vote_average,
        vote_count = excluded.vote_count,
        adult = excluded.adult,
        genre_ids = excluded.genre_ids,
        original_language = excluded.original_language,
        overview = excluded.overview,
        backdrop_path = excluded.backdrop_path,
        poster_path = excluded.poster_path,
        last_updated = now()
    where (d.title, d.original_title, d.popularity, d.release_date, d.video, d.vote_average, d.vote_count,
           d.adult, d.genre_ids, d.original_language, d.overview, d.backdrop_path, d.poster_path)
        is distinct from
          (excluded.title, excluded.original_title, excluded.popularity, excluded.release_date, excluded.video,
           excluded.vote_average, excluded.vote_count, excluded.adult, excluded.genre_ids,
           excluded.original_language, excluded.overview, excluded.backdrop_path, excluded.poster_path)
    returning (d.xmax = 0) as is_new
)
select count(*) filter (where f.is_new) as inserted,
       count(*) filter (where not f.is_new) as updated,
       (select items from unchanged) as unchanged,
       (select count(*) from staging.popular_movies where original_language is distinct from 'en') as filtered
from filled f
