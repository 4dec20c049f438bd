-- Fills: tmdb_data.dim_popular_shows: staged items (those in English), where they are new or differ; counted with those that stand there already.
-- Reads: staging.shows, tmdb_data.dim_popular_shows.
-- Twice is safe: keyed by id; a row that is equal is not touched.
with listed as (
    select id,
           name, original_name, overview, first_air_date, popularity, vote_average, vote_count, poster_path,
           backdrop_path, original_language, genre_ids, origin_country, adult
    from staging.shows
    where original_language = 'en'
),
unchanged as (
    select count(*) as items
    from listed l
    join tmdb_data.dim_popular_shows d on d.id = l.id
    where (d.name, d.original_name, d.overview, d.first_air_date, d.popularity, d.vote_average, d.vote_count,
           d.poster_path, d.backdrop_path, d.original_language, d.genre_ids, d.origin_country, d.adult)
        is not distinct from
          (l.name, l.original_name, l.overview, l.first_air_date, l.popularity, l.vote_average, l.vote_count,
           l.poster_path, l.backdrop_path, l.original_language, l.genre_ids, l.origin_country, l.adult)
),
filled as (
    insert into tmdb_data.dim_popular_shows as d (
        id,
        name, original_name, overview, first_air_date, popularity, vote_average, vote_count, poster_path,
        backdrop_path, original_language, genre_ids, origin_country, adult
    )
    select * from listed
    on conflict (id) do update set
        name = excluded.name,
        original_name = excluded.original_name,
        overview = excluded.overview,
        first_air_date = excluded.first_air_date,
        popularity = excluded.popularity,
        vote_average = excluded.vote_average,
        vote_count = excluded.vote_count,
        poster_path = excluded.poster_path,
        backdrop_path = excluded.backdrop_path,
        original_language = excluded.original_language,
        genre_ids = excluded.genre_ids,
        origin_country = excluded.origin_country,
        adult = excluded.adult,
        last_updated = now()
    where (d.name, d.original_name, d.overview, d.first_air_date, d.popularity, d.vote_average, d.vote_count,
           d.poster_path, d.backdrop_path, d.original_language, d.genre_ids, d.origin_country, d.adult)
        is distinct from
          (excluded.name, excluded.original_name, excluded.overview, excluded.first_air_date,
           excluded.popularity, excluded.vote_average, excluded.vote_count, excluded.poster_path,
           excluded.backdrop_path, excluded.original_language, excluded.genre_ids, excluded.origin_country,
           excluded.adult)
    returning (d.xmax = 0) as is_new
)
select count(*) filter (where f.is_new) as inserted,
       count(*) filter (where not f.is_new) as updated,
       (select items from unchanged) as unchanged,
       (select count(*) from staging.shows where original_language is distinct from 'en') as filtered
from filled f
