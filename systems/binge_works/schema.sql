-- Binge Works' schemas: staging, tmdb_data. Applied after the kit's meta.sql by: python -m binge_works init
-- Twice is harmless: everything is created only where it is missing, nothing is dropped.
create schema if not exists staging;
create schema if not exists tmdb_data;

-- Tables that somebody else made under these names are refused, naming what differs: every load would fail on them.
do $$
declare
    wrong text;
begin
    select string_agg(expected.name || ' lacks ' || expected.columns, '; ')
    into wrong
    from (
        select e.name, string_agg(e.column_name || ' ' || e.type, ', ' order by e.place) as columns
        from (values
            (1, 'staging.shows', 'id', 'integer'),
            (2, 'staging.shows', 'rank', 'integer'),
            (3, 'staging.shows', 'as_of', 'date'),
            (4, 'staging.shows', 'run_id', 'uuid'),
            (5, 'staging.shows', 'genre_ids', 'jsonb'),
            (6, 'staging.shows', 'first_air_date', 'date'),
            (7, 'staging.popular_movies', 'id', 'integer'),
            (8, 'staging.popular_movies', 'rank', 'integer'),
            (9, 'staging.popular_movies', 'as_of', 'date'),
            (10, 'staging.popular_movies', 'run_id', 'uuid'),
            (11, 'staging.popular_movies', 'genre_ids', 'jsonb'),
            (12, 'staging.popular_movies', 'release_date', 'date'),
            (13, 'staging.popular_people', 'id', 'integer'),
            (14, 'staging.popular_people', 'rank', 'integer'),
            (15, 'staging.popular_people', 'as_of', 'date'),
            (16, 'staging.popular_people', 'run_id', 'uuid'),
            (17, 'staging.popular_people', 'known_for', 'jsonb'),
            (18, 'tmdb_data.dim_popular_shows', 'id', 'integer'),
            (19, 'tmdb_data.dim_popular_shows', 'genre_ids', 'jsonb'),
            (20, 'tmdb_data.dim_popular_shows', 'first_air_date', 'date'),
            (21, 'tmdb_data.dim_popular_shows', 'insert_timestamp', 'timestamp with time zone'),
            (22, 'tmdb_data.dim_popular_shows', 'last_updated', 'timestamp with time zone'),
            (23, 'tmdb_data.popular_movies', 'id', 'integer'),
            (24, 'tmdb_data.popular_movies', 'genre_ids', 'jsonb'),
            (25, 'tmdb_data.popular_movies', 'release_date', 'date'),
            (26, 'tmdb_data.popular_movies', 'created_at', 'timestamp with time zone'),
            (27, 'tmdb_data.popular_movies', 'last_updated', 'timestamp with time zone'),
            (28, 'tmdb_data.dim_popular_people', 'id', 'integer'),
            (29, 'tmdb_data.dim_popular_people', 'insert_timestamp', 'timestamp with time zone'),
            (30, 'tmdb_data.dim_popular_people', 'last_update', 'timestamp with time zone'),
            (31, 'tmdb_data.dim_shows_history', 'id_sk', 'bigint'),
            (32, 'tmdb_data.dim_shows_history', 'id', 'integer'),
            (33, 'tmdb_data.dim_shows_history', 'effective_date', 'date'),
            (34, 'tmdb_data.dim_shows_history', 'expiration_date', 'date'),
            (35, 'tmdb_data.dim_shows_history', 'is_current', 'boolean'),
            (36, 'tmdb_data.dim_shows_history', 'update_timestamp', 'timestamp with time zone'),
            (37, 'tmdb_data.dim_people_history', 'id_sk', 'bigint'),
            (38, 'tmdb_data.dim_people_history', 'id', 'integer'),
            (39, 'tmdb_data.dim_people_history', 'effective_date', 'date'),
            (40, 'tmdb_data.dim_people_history', 'expiration_date', 'date'),
            (41, 'tmdb_data.dim_people_history', 'is_current', 'boolean'),
            (42, 'tmdb_data.dim_people_history', 'update_timestamp', 'timestamp with time zone'),
            (43, 'tmdb_data.bridge_person_project', 'person_id', 'integer'),
            (44, 'tmdb_data.bridge_person_project', 'project_id', 'integer'),
            (45, 'tmdb_data.bridge_person_project', 'media_type', 'text'),
            (46, 'tmdb_data.bridge_person_project', 'project_title', 'text'),
            (47, 'tmdb_data.bridge_person_project', 'created_at', 'timestamp with time zone'),
            (48, 'tmdb_data.bridge_person_project', 'last_updated', 'timestamp with time zone'),
            (49, 'tmdb_data.popularity_snapshot', 'list', 'text'),
            (50, 'tmdb_data.popularity_snapshot', 'as_of', 'date'),
            (51, 'tmdb_data.popularity_snapshot', 'id', 'integer'),
            (52, 'tmdb_data.popularity_snapshot', 'rank', 'integer'),
            (53, 'tmdb_data.people_churn', 'as_of', 'date'),
            (54, 'tmdb_data.people_churn', 'compared', 'date'),
            (55, 'tmdb_data.people_churn', 'listed', 'integer'),
            (56, 'tmdb_data.people_churn', 'entered', 'integer'),
            (57, 'tmdb_data.people_churn', 'gone', 'integer'),
            (58, 'tmdb_data.loaded_day', 'table_name', 'text'),
            (59, 'tmdb_data.loaded_day', 'as_of', 'date'),
            (60, 'tmdb_data.loaded_day', 'run_id', 'uuid'),
            (61, 'tmdb_data.loaded_day', 'loaded_at', 'timestamp with time zone')
        ) as e (place, name, column_name, type)
        left join pg_attribute a on a.attrelid = to_regclass(e.name) and a.attname = e.column_name and not a.attisdropped
        where to_regclass(e.name) is not null
          and format_type(a.atttypid, null) is distinct from e.type
        group by e.name
    ) expected;
    if exists (select from pg_class where oid = to_regclass('tmdb_data.dim_popular_movies') and relkind <> 'v') then
        wrong := concat_ws('; ', wrong, 'tmdb_data.dim_popular_movies is no view');
    end if;
    if wrong is not null then
        raise exception 'tables of these names are there that are not this schema''s: %. Nothing was changed; rename them or use another database', wrong;
    end if;
end
$$;

-- which day a table holds, and by which run that day came into staging; an older day is refused
create table if not exists tmdb_data.loaded_day (
    table_name text primary key,
    as_of      date not null,
    run_id     uuid not null,
    loaded_at  timestamptz not null
);

-- the last list of each kind as TMDB gave it, of one day and one run; kept until the next, since people look at it
create table if not exists staging.shows (
    id                integer primary key,
    name              text,
    original_name     text,
    overview          text,
    first_air_date    date,
    popularity        double precision,
    vote_average      double precision,
    vote_count        integer,
    poster_path       text,
    backdrop_path     text,
    original_language text,
    genre_ids         jsonb,
    origin_country    jsonb,
    adult             boolean,
    rank              integer not null,
    as_of             date not null,
    run_id            uuid not null,
    inserted_at       timestamptz not null default now()
);

create table if not exists staging.popular_movies (
    id                integer primary key,
    title             text,
    original_title    text,
    popularity        double precision,
    release_date      date,
    video             boolean,
    vote_average      double precision,
    vote_count        integer,
    adult             boolean,
    genre_ids         jsonb,
    original_language text,
    overview          text,
    backdrop_path     text,
    poster_path       text,
    rank              integer not null,
    as_of             date not null,
    run_id            uuid not null,
    created_at        timestamptz not null default now(),
    loaded_at         timestamptz not null default now()
);

create table if not exists staging.popular_people (
    id                   integer primary key,
    name                 text,
    adult                boolean,
    gender               integer,
    known_for_department text,
    popularity           double precision,
    profile_path         text,
    known_for            jsonb,
    rank                 integer not null,
    as_of                date not null,
    run_id               uuid not null,
    created_at           timestamptz not null default now(),
    loaded_at            timestamptz not null default now()
);

-- what is known of each show, movie and person now; who leaves the list stays as he was
create table if not exists tmdb_data.dim_popular_shows (
    id                integer primary key,
    name              text,
    original_name     text,
    overview          text,
    first_air_date    date,
    popularity        double precision,
    vote_average      double precision,
    vote_count        integer,
    poster_path       text,
    backdrop_path     text,
    original_language text,
    genre_ids         jsonb,
    origin_country    jsonb,
    adult             boolean,
    insert_timestamp  timestamptz not null default now(),
    last_updated      timestamptz not null default now()
) with (fillfactor = 80);
create index if not exists dim_popular_shows_popularity on tmdb_data.dim_popular_shows (popularity desc);

create table if not exists tmdb_data.popular_movies (
    id                integer primary key,
    title             text,
    original_title    text,
    popularity        double precision,
    release_date      date,
    video             boolean,
    vote_average      double precision,
    vote_count        integer,
    adult             boolean,
    genre_ids         jsonb,
    original_language text,
    overview          text,
    backdrop_path     text,
    poster_path       text,
    created_at        timestamptz not null default now(),
    last_updated      timestamptz not null default now()
) with (fillfactor = 80);
create index if not exists popular_movies_popularity on tmdb_data.popular_movies (popularity desc);
-- the name that the other current tables would let one expect
create or replace view tmdb_data.dim_popular_movies as select * from tmdb_data.popular_movies;

create table if not exists tmdb_data.dim_popular_people (
    id                   integer primary key,
    gender               integer,
    known_for_department text,
    name                 text,
    popularity           double precision,
    profile_path         text,
    insert_timestamp     timestamptz not null default now(),
    last_update          timestamptz not null default now()
) with (fillfactor = 80);
create index if not exists dim_popular_people_popularity on tmdb_data.dim_popular_people (popularity desc);

-- every version, from effective_date up to but without expiration_date; that is null for the current one. An id stands in
-- the exclusion as a range of one, so that no extension is needed
create table if not exists tmdb_data.dim_shows_history (
    id_sk             bigint generated by default as identity primary key,
    id                integer not null,
    name              text,
    original_name     text,
    overview          text,
    first_air_date    date,
    popularity        double precision,
    vote_average      double precision,
    vote_count        integer,
    poster_path       text,
    backdrop_path     text,
    original_language text,
    genre_ids         jsonb,
    origin_country    jsonb,
    adult             boolean,
    effective_date    date not null,
    expiration_date   date,
    is_current        boolean not null,
    update_timestamp  timestamptz not null default now(),
    constraint dim_shows_history_current_is_open check (is_current = (expiration_date is null)),
    constraint dim_shows_history_lasts check (expiration_date > effective_date),
    constraint dim_shows_history_one_a_day unique (id, effective_date),
    constraint dim_shows_history_no_overlap exclude using gist (
        int8range(id, id, '[]') with &&, daterange(effective_date, expiration_date) with &&
    )
) with (fillfactor = 80);
create unique index if not exists dim_shows_history_one_current on tmdb_data.dim_shows_history (id) where is_current;

create table if not exists tmdb_data.dim_people_history (
    id_sk                bigint generated by default as identity primary key,
    id                   integer not null,
    gender               integer,
    known_for_department text,
    name                 text,
    popularity           double precision,
    profile_path         text,
    effective_date       date not null,
    expiration_date      date,
    is_current           boolean not null,
    update_timestamp     timestamptz not null default now(),
    constraint dim_people_history_current_is_open check (is_current = (expiration_date is null)),
    constraint dim_people_history_lasts check (expiration_date > effective_date),
    constraint dim_people_history_one_a_day unique (id, effective_date),
    constraint dim_people_history_no_overlap exclude using gist (
        int8range(id, id, '[]') with &&, daterange(effective_date, expiration_date) with &&
    )
) with (fillfactor = 80);
create unique index if not exists dim_people_history_one_current on tmdb_data.dim_people_history (id) where is_current;

-- what each person is known for; ids of movies and shows are separate number spaces, and neither need be popular themselves
create table if not exists tmdb_data.bridge_person_project (
    person_id     integer not null,
    project_id    integer not null,
    media_type    text not null check (media_type in ('movie', 'tv')),
    project_title text,
    created_at    timestamptz not null default now(),
    last_updated  timestamptz not null default now(),
    primary key (person_id, media_type, project_id)
);
create index if not exists bridge_person_project_project on tmdb_data.bridge_person_project (media_type, project_id);

-- each list as it stood each day: the home of popularity, which changes for nearly everyone every day
create table if not exists tmdb_data.popularity_snapshot (
    list         text not null check (list in ('shows', 'movies', 'people')),
    as_of        date not null,
    id           integer not null,
    rank         integer not null,
    popularity   double precision,
    vote_average double precision,
    vote_count   integer,
    primary key (list, as_of, id)
);

-- how the list of people changed from the day before that was loaded
create table if not exists tmdb_data.people_churn (
    as_of    date primary key,
    compared date,
    listed   integer not null,
    entered  integer not null,
    gone     integer not null
);

insert into meta.schema_version as v (system, version) values ('binge_works', 1)
on conflict (system) do update set version = excluded.version, applied_at = now() where v.version < excluded.version;
