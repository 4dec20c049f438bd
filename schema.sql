-- The museum's normalised schema: psql -f schema.sql, once; a second time is harmless.
-- It creates what is missing and never drops; changes are additive, and meta.schema_version says what was applied.
-- The same without psql: python load.py --apply-schema
begin;
set transaction isolation level read committed;

-- What is new must belong to whom the rest belongs to: it would be closed to him, or he could not maintain it.
do $$
declare
    owner text := (select pg_get_userbyid(relowner) from pg_class where oid = to_regclass('review'));
begin
    if owner <> current_user then
        raise exception 'the tables belong to %, not to %. Nothing was changed; apply the schema as that role (set role %)',
            owner, current_user, quote_ident(owner);
    end if;
end
$$;

-- Tables that somebody else made under these names are refused, naming what differs: every run would fail on them.
do $$
declare
    wrong text;
begin
    select string_agg(expected.name || ' lacks ' || expected.columns, '; ')
    into wrong
    from (
        select e.name, string_agg(e.column_name || ' ' || e.type, ', ' order by e.place) as columns
        from (values
            (1, 'department', 'department_id', 'integer'),
            (2, 'department', 'department_name', 'text'),
            (3, 'floor', 'floor_id', 'integer'),
            (4, 'floor', 'floor_name', 'text'),
            (5, 'exhibition', 'exhibition_id', 'integer'),
            (6, 'exhibition', 'exhibition_code', 'text'),
            (7, 'exhibition', 'exhibition_name', 'text'),
            (8, 'exhibition', 'start_date', 'date'),
            (9, 'exhibition', 'department_id', 'integer'),
            (10, 'exhibition', 'description', 'text'),
            (11, 'floor_assignment', 'exhibition_id', 'integer'),
            (12, 'floor_assignment', 'floor_id', 'integer'),
            (13, 'rating_desc', 'rating_id', 'smallint'),
            (14, 'rating_desc', 'description', 'text'),
            (15, 'incident_type', 'incident_type_id', 'smallint'),
            (16, 'incident_type', 'description', 'text'),
            (17, 'event_source', 'source_id', 'integer'),
            (18, 'event_source', 'kind', 'text'),
            (19, 'event_source', 'bucket', 'text'),
            (20, 'event_source', 'key', 'text'),
            (21, 'event_source', 'content_hash', 'text'),
            (22, 'review', 'review_id', 'bigint'),
            (23, 'review', 'exhibition_id', 'integer'),
            (24, 'review', 'at', 'timestamp with time zone'),
            (25, 'review', 'rating_id', 'smallint'),
            (26, 'review', 'source_id', 'integer'),
            (27, 'review', 'position', 'bigint'),
            (28, 'incident', 'incident_id', 'bigint'),
            (29, 'incident', 'exhibition_id', 'integer'),
            (30, 'incident', 'at', 'timestamp with time zone'),
            (31, 'incident', 'incident_type_id', 'smallint'),
            (32, 'incident', 'source_id', 'integer'),
            (33, 'incident', 'position', 'bigint')
        ) as e (place, name, column_name, type)
        left join pg_attribute a on a.attrelid = to_regclass(e.name) and a.attname = e.column_name and not a.attisdropped
        where to_regclass(e.name) is not null
          and format_type(a.atttypid, null) is distinct from e.type
        group by e.name
    ) expected;
    if wrong is not null then
        raise exception 'tables of these names are there that are not this schema''s: %. Nothing was changed; rename them or use another database', wrong;
    end if;
end
$$;

-- Before anything else is locked: who brings a database up to version 3 or later waits for its writers, then they wait.
do $$
begin
    if to_regclass('review') is not null and to_regclass('review_hour') is null then
        lock table review, incident in share row exclusive mode;
    end if;
end
$$;

-- Schema meta: what the suite's systems that live in Postgres write about themselves.
-- Twice is harmless: everything is created only where it is missing.
create schema if not exists meta;

-- Other tables under these names are refused, naming what differs.
do $$
declare
    wrong text;
begin
    select string_agg(expected.name || ' lacks ' || expected.columns, '; ')
    into wrong
    from (
        select e.name, string_agg(e.column_name || ' ' || e.type, ', ' order by e.place) as columns
        from (values
            (1, 'meta.schema_version', 'system', 'text'),
            (2, 'meta.schema_version', 'version', 'integer'),
            (3, 'meta.ingestion_runs', 'run_id', 'uuid'),
            (4, 'meta.ingestion_runs', 'source_system', 'text'),
            (5, 'meta.ingestion_runs', 'entity_type', 'text'),
            (6, 'meta.ingestion_runs', 'started_at', 'timestamp with time zone'),
            (7, 'meta.ingestion_runs', 'completed_at', 'timestamp with time zone'),
            (8, 'meta.ingestion_runs', 'status', 'text'),
            (9, 'meta.ingestion_runs', 'records_processed', 'bigint'),
            (10, 'meta.ingestion_runs', 'records_created', 'bigint'),
            (11, 'meta.ingestion_runs', 'records_updated', 'bigint'),
            (12, 'meta.ingestion_runs', 'error_message', 'text'),
            (13, 'meta.ingestion_runs', 'metadata', 'jsonb'),
            (14, 'meta.rejected_records', 'source', 'text'),
            (15, 'meta.rejected_records', 'position', 'text'),
            (16, 'meta.rejected_records', 'raw', 'bytea'),
            (17, 'meta.rejected_records', 'reasons', 'text[]'),
            (18, 'meta.rejected_records', 'run_id', 'uuid'),
            (19, 'meta.rejected_records', 'resolved_at', 'timestamp with time zone')
        ) as e (place, name, column_name, type)
        left join pg_attribute a on a.attrelid = to_regclass(e.name) and a.attname = e.column_name and not a.attisdropped
        where to_regclass(e.name) is not null
          and format_type(a.atttypid, null) is distinct from e.type
        group by e.name
    ) expected;
    if wrong is not null then
        raise exception 'tables of these names are there that are not this schema''s: %. Nothing was changed; rename them or use another database', wrong;
    end if;
end
$$;

create table if not exists meta.schema_version (
    system     text primary key,
    version    integer not null,
    applied_at timestamptz not null default now()
);

create table if not exists meta.ingestion_runs (
    run_id            uuid primary key,
    source_system     text not null,
    entity_type       text not null,
    started_at        timestamptz not null default clock_timestamp(),
    completed_at      timestamptz,
    status            text not null default 'running' check (status in ('running', 'completed', 'failed')),
    records_processed bigint not null default 0,
    records_created   bigint not null default 0,
    records_updated   bigint not null default 0,
    error_message     text,
    metadata          jsonb not null default '{}'
);
create index if not exists ingestion_runs_started on meta.ingestion_runs (source_system, entity_type, started_at);

create table if not exists meta.rejected_records (
    source      text not null,
    position    text not null,
    raw         bytea not null,
    reasons     text[] not null,
    run_id      uuid not null,
    first_seen  timestamptz not null default now(),
    last_seen   timestamptz not null default now(),
    resolved_at timestamptz,
    primary key (source, position)
);
create index if not exists rejected_records_open on meta.rejected_records (source) where resolved_at is null;

-- ---------------------------------------------------------------------------------------------------------------------
-- Exhibitions
-- ---------------------------------------------------------------------------------------------------------------------

create table if not exists department (
    department_id   integer generated always as identity primary key,
    department_name text not null unique
);

create table if not exists floor (
    floor_id   integer generated always as identity primary key,
    floor_name text not null unique
);

-- The kiosk with number n stands in the exhibition whose code is EXH_0n; its id is n + 1. This function is the one
-- place that says so.
create or replace function site_exhibition_id(site integer) returns integer
    language sql immutable strict parallel safe
    return site + 1;

create table if not exists exhibition (
    exhibition_id   integer primary key check (exhibition_id > 0),
    exhibition_code text not null unique,
    exhibition_name text not null,
    start_date      date,
    department_id   integer references department,
    description     text
);

create table if not exists floor_assignment (
    exhibition_id integer not null references exhibition,
    floor_id      integer not null references floor,
    primary key (exhibition_id, floor_id)
);
create index if not exists floor_assignment_floor on floor_assignment (floor_id);

-- ---------------------------------------------------------------------------------------------------------------------
-- Buttons: new ones are rows here, not code
-- ---------------------------------------------------------------------------------------------------------------------

create table if not exists rating_desc (
    rating_id   smallint primary key check (rating_id <> -1),
    description text not null
);

create table if not exists incident_type (
    incident_type_id smallint primary key,
    description      text not null
);

-- Seeded once, so that a button which was taken away does not come back with the next schema.sql.
insert into rating_desc (rating_id, description)
select label.rating_id, label.description
from (values (0, 'Terrible'), (1, 'Bad'), (2, 'Neutral'), (3, 'Good'), (4, 'Amazing')) as label (rating_id, description)
where not exists (select from rating_desc)
on conflict (rating_id) do nothing;

insert into incident_type (incident_type_id, description)
select label.incident_type_id, label.description
from (values (0, 'assistance'), (1, 'emergency')) as label (incident_type_id, description)
where not exists (select from incident_type)
on conflict (incident_type_id) do nothing;

-- ---------------------------------------------------------------------------------------------------------------------
-- Presses, each with its provenance: which object or partition, and where in it
-- ---------------------------------------------------------------------------------------------------------------------

-- The ledger. columns is a file's header order, needed to read the kept text of its rejected rows again; of a file's rows so
-- many are stored as presses, the others are rejected. A partition's
-- fencing_token grows with every consumer that takes it over; topic_id and last_message (the message before next_offset) tell
-- a re-created topic.
create table if not exists event_source (
    source_id     integer generated always as identity primary key,
    kind          text not null check (kind in ('file', 'kafka')),
    bucket        text,
    key           text,
    content_hash  text,
    columns       text[],
    cluster       text,
    topic         text,
    partition     integer,
    next_offset   bigint,
    rows          bigint not null default 0,
    loaded_at     timestamptz not null default now(),
    run_id        uuid not null,
    fencing_token bigint not null default 0,
    last_message  text,
    topic_id      text,
    stored        bigint,
    unique (bucket, key),
    unique (cluster, topic, partition),
    check (kind <> 'file' or (bucket is not null and key is not null and content_hash is not null and topic is null)),
    check (kind <> 'kafka' or (cluster is not null and topic is not null and partition is not null
                               and next_offset is not null and key is null))
);

-- What the rejects and the archive call an object or a partition.
create or replace function source_name(source event_source) returns text
    language sql stable parallel safe
    return case
        when (source).kind = 'kafka' then concat('kafka://', (source).cluster, '/', (source).topic, '/', (source).partition)
        when (source).bucket = 'file:' then 'file:' || (source).key
        else 's3://' || (source).bucket || '/' || (source).key
    end;

-- Version 2; only where it is missing, since altering a table keeps readers waiting too.
do $$
begin
    if not exists (
        select from pg_attribute where attrelid = 'event_source'::regclass and attname = 'topic_id' and not attisdropped
    ) then
        alter table event_source
            add column if not exists fencing_token bigint not null default 0,
            add column if not exists last_message text,
            add column if not exists topic_id text;
    end if;
    -- Version 4
    if not exists (
        select from pg_attribute where attrelid = 'event_source'::regclass and attname = 'stored' and not attisdropped
    ) then
        alter table event_source add column stored bigint;
        update event_source e
        set stored = e.rows - (
            select count(*)
            from meta.rejected_records r
            where r.source = source_name(e)
              and r.position <> 'file'
              and r.resolved_at is null
        )
        where e.kind = 'file';
    end if;
end
$$;

create table if not exists review (
    review_id     bigint generated always as identity primary key,
    exhibition_id integer not null references exhibition,
    at            timestamptz not null,
    rating_id     smallint not null references rating_desc,
    source_id     integer not null references event_source,
    position      bigint not null,
    unique (source_id, position)
);
-- Small, since it knows the first and the last time of 32 pages each. Autovacuum adds new pages; until then they are read.
create index if not exists review_at on review using brin (at) with (pages_per_range = 32, autosummarize = on);
-- Version 5: an index from before is told to let autovacuum add new pages.
do $$
begin
    if exists (
        select from pg_class c join pg_am m on m.oid = c.relam
        where c.oid = 'review_at'::regclass and m.amname = 'brin' and not coalesce('autosummarize=on' = any(c.reloptions), false)
    ) then
        alter index review_at set (autosummarize = on);
    end if;
end
$$;

create table if not exists incident (
    incident_id      bigint generated always as identity primary key,
    exhibition_id    integer not null references exhibition,
    at               timestamptz not null,
    incident_type_id smallint not null references incident_type,
    source_id        integer not null references event_source,
    position         bigint not null,
    unique (source_id, position)
);
create index if not exists incident_at on incident (at);

-- ---------------------------------------------------------------------------------------------------------------------
-- The archive: reviews of months that are over, in files of a bucket (archive.py)
-- ---------------------------------------------------------------------------------------------------------------------

-- A review lies in the archive if it is older than archive_border(), else in review; never in both for who asks each for its
-- side. Its hourly counts stay here, and so does every request for help.
create table if not exists archived_month (
    month       date primary key check (extract(day from month) = 1),
    ends_at     timestamptz not null,
    object      text not null,
    sha256      text not null,
    reviews     bigint not null,
    archived_at timestamptz not null default now(),
    run_id      uuid not null
);

-- What a month has of an object or partition, by which its rows are known again. The fingerprint does not depend on their order.
create table if not exists archived_source (
    source_id      integer not null references event_source,
    month          date not null references archived_month,
    reviews        bigint not null,
    first_position bigint not null,
    last_position  bigint not null,
    fingerprint    bigint not null,
    primary key (source_id, month)
);

create or replace function archive_border() returns timestamptz
    language sql stable parallel safe
    return (select coalesce(max(ends_at), '-infinity') from archived_month);

-- Taken by whoever moves the border, and shared by whoever stores reviews by it, so that it does not move meanwhile.
create or replace function hold_border(to_move boolean) returns void
    language sql
    return case
        when to_move then pg_advisory_xact_lock(hashtextextended('museum:archive', 0))
        else pg_advisory_xact_lock_shared(hashtextextended('museum:archive', 0))
    end;

-- ---------------------------------------------------------------------------------------------------------------------
-- Presses by hour: what dashboards read instead of every press
-- ---------------------------------------------------------------------------------------------------------------------

-- Whatever adds or removes presses notes the difference in *_hour_change in its own transaction, by insert only, so that
-- nobody waits for anybody and no reader ever sees a press that is not counted. Loads and consumers fold the differences
-- into *_hour now and then. Hours begin at whole hours of UTC, as those of every zone with whole hours do.
create table if not exists review_hour (
    exhibition_id integer not null,
    hour          timestamptz not null,
    rating_id     smallint not null,
    reviews       bigint not null,
    primary key (exhibition_id, hour, rating_id)
);
create index if not exists review_hour_hour on review_hour (hour);
create index if not exists review_hour_empty on review_hour (hour) where reviews = 0;
create table if not exists review_hour_change (
    exhibition_id integer not null,
    hour          timestamptz not null,
    rating_id     smallint not null,
    reviews       bigint not null
);

create table if not exists incident_hour (
    exhibition_id    integer not null,
    hour             timestamptz not null,
    incident_type_id smallint not null,
    incidents        bigint not null,
    primary key (exhibition_id, hour, incident_type_id)
);
create index if not exists incident_hour_hour on incident_hour (hour);
create index if not exists incident_hour_empty on incident_hour (hour) where incidents = 0;
create table if not exists incident_hour_change (
    exhibition_id    integer not null,
    hour             timestamptz not null,
    incident_type_id smallint not null,
    incidents        bigint not null
);

-- The hour that a moment lies in; whole UTC hours, whatever the session's zone.
create or replace function utc_hour(at timestamptz) returns timestamptz
    language sql immutable strict parallel safe
    return date_bin('1 hour', at, '2000-01-01 00:00:00+00');

-- How few the hours of reviews are beside the reviews: with it Postgres counts a first load's, or all anew, with several processes.
create statistics if not exists review_hours (ndistinct) on exhibition_id, (utc_hour(at)), rating_id from review;

-- Taken by whoever folds or clears the counts, so that no two of them meet; nobody who only notes takes it.
create or replace function lock_hours() returns void
    language sql
    return pg_advisory_xact_lock(hashtextextended('museum:hours', 0));

-- Hours before the archive's border are closed: their counts say what lies there. No review comes behind it, whoever writes it,
-- since nobody would find it; and it does not move while one is on its way.
create or replace function note_review_change() returns trigger
    language plpgsql
as $$
begin
    if tg_op = 'TRUNCATE' then
        perform lock_hours();
        delete from review_hour_change where hour >= (select archive_border());
        delete from review_hour where hour >= (select archive_border());
        return null;
    end if;
    if tg_op <> 'DELETE' then
        if current_setting('transaction_isolation') <> 'read committed' then
            raise exception 'reviews are stored in read committed transactions only; in a % one an archive''s border that moves meanwhile is not seen',
                current_setting('transaction_isolation');
        end if;
        perform hold_border(false);
        if exists (select from fresh where at < (select archive_border())) then
            raise exception 'reviews of before % lie in the archive; archive.py restore brings their months back', archive_border()
                using errcode = 'check_violation';
        end if;
        insert into review_hour_change (exhibition_id, hour, rating_id, reviews)
        select exhibition_id, utc_hour(at), rating_id, count(*)
        from fresh
        group by 1, 2, 3;
    end if;
    if tg_op <> 'INSERT' then
        insert into review_hour_change (exhibition_id, hour, rating_id, reviews)
        select exhibition_id, utc_hour(at), rating_id, -count(*)
        from gone
        where at >= (select archive_border())
        group by 1, 2, 3;
    end if;
    return null;
end
$$;

create or replace function note_incident_change() returns trigger
    language plpgsql
as $$
begin
    if tg_op = 'TRUNCATE' then
        perform lock_hours();
        delete from incident_hour_change;
        delete from incident_hour;
        return null;
    end if;
    if tg_op <> 'DELETE' then
        insert into incident_hour_change (exhibition_id, hour, incident_type_id, incidents)
        select exhibition_id, utc_hour(at), incident_type_id, count(*)
        from fresh
        group by 1, 2, 3;
    end if;
    if tg_op <> 'INSERT' then
        insert into incident_hour_change (exhibition_id, hour, incident_type_id, incidents)
        select exhibition_id, utc_hour(at), incident_type_id, -count(*)
        from gone
        group by 1, 2, 3;
    end if;
    return null;
end
$$;

-- The functions do for a role only what the role may do itself, in the schema of their own, whatever the session's search_path
-- names; nobody may call one who was not given it. Until version 3 they worked as their owner and everybody might call them,
-- so any role could forge and erase the counts from a trigger of its own.
do $$
declare
    name text;
begin
    foreach name in array array['note_review_change', 'note_incident_change'] loop
        execute format('alter function %I() security invoker set search_path = %I, pg_temp', name, current_schema());
    end loop;
end
$$;
revoke all on function
    site_exhibition_id(integer), source_name(event_source), utc_hour(timestamptz), lock_hours(), archive_border(),
    hold_border(boolean), note_review_change(), note_incident_change()
    from public;

-- Whoever may write presses may note them, and call what a writer calls, in databases too whose roles are older.
do $$
declare
    press record;
begin
    for press in
        select distinct c.relname as counted, pg_get_userbyid(a.grantee) as grantee
        from pg_class c
        cross join aclexplode(c.relacl) a
        where c.oid in ('review'::regclass, 'incident'::regclass)
          and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE')
          and a.grantee not in (0, c.relowner)
    loop
        execute format('grant insert on %I to %I', press.counted || '_hour_change', press.grantee);
        execute format('grant select on archived_month, archived_source to %I', press.grantee);
        execute format(
            'grant execute on function site_exhibition_id(integer), source_name(event_source), utc_hour(timestamptz), '
            'lock_hours(), archive_border(), hold_border(boolean) to %I', press.grantee
        );
    end loop;
end
$$;

-- Once: the triggers, and what was there before them. Creating a trigger keeps writers, not readers, waiting.
do $$
begin
    if not exists (select from pg_trigger where tgrelid = 'review'::regclass and tgname = 'review_hour_insert') then
        create trigger review_hour_insert after insert on review
            referencing new table as fresh for each statement execute function note_review_change();
        create trigger review_hour_delete after delete on review
            referencing old table as gone for each statement execute function note_review_change();
        create trigger review_hour_update after update on review
            referencing old table as gone new table as fresh for each statement execute function note_review_change();
        create trigger review_hour_truncate after truncate on review
            for each statement execute function note_review_change();
        insert into review_hour (exhibition_id, hour, rating_id, reviews)
        select exhibition_id, utc_hour(at), rating_id, count(*)
        from review
        group by 1, 2, 3;
    end if;
    if not exists (select from pg_trigger where tgrelid = 'incident'::regclass and tgname = 'incident_hour_insert') then
        create trigger incident_hour_insert after insert on incident
            referencing new table as fresh for each statement execute function note_incident_change();
        create trigger incident_hour_delete after delete on incident
            referencing old table as gone for each statement execute function note_incident_change();
        create trigger incident_hour_update after update on incident
            referencing old table as gone new table as fresh for each statement execute function note_incident_change();
        create trigger incident_hour_truncate after truncate on incident
            for each statement execute function note_incident_change();
        insert into incident_hour (exhibition_id, hour, incident_type_id, incidents)
        select exhibition_id, utc_hour(at), incident_type_id, count(*)
        from incident
        group by 1, 2, 3;
    end if;
end
$$;

-- Parts that add up to the number of reviews by exhibition, hour and rating; always sum them, a part may be negative.
create or replace view review_tally as
select exhibition_id, hour, rating_id, reviews
from review_hour
union all
select exhibition_id, hour, rating_id, reviews
from review_hour_change;

-- The same of requests for help, by exhibition, hour and type.
create or replace view incident_tally as
select exhibition_id, hour, incident_type_id, incidents
from incident_hour
union all
select exhibition_id, hour, incident_type_id, incidents
from incident_hour_change;

-- ---------------------------------------------------------------------------------------------------------------------
-- Views: the questions of the Exhibitions Manager and of the Head of Security & Visitor Safety, in local time
-- ---------------------------------------------------------------------------------------------------------------------

-- Each exhibition with its department and floors.
create or replace view exhibition_info as
select e.exhibition_id,
       e.exhibition_code,
       e.exhibition_name,
       d.department_name,
       (select string_agg(f.floor_name, ', ' order by f.floor_name)
        from floor_assignment a
        join floor f using (floor_id)
        where a.exhibition_id = e.exhibition_id) as floors,
       e.start_date,
       e.description
from exhibition e
left join department d using (department_id);

-- Each rating that is not in the archive, with its label, exhibition and local time.
create or replace view rating_info as
select r.review_id,
       r.at,
       r.at at time zone 'Europe/London' as local_at,
       e.exhibition_id,
       e.exhibition_name,
       d.department_name,
       r.rating_id,
       l.description as rating
from review r
join exhibition e using (exhibition_id)
join rating_desc l using (rating_id)
left join department d using (department_id);

-- Each request for help with its type, exhibition and local time; the newest first make the live feed.
create or replace view request_info as
select i.incident_id,
       i.at,
       i.at at time zone 'Europe/London' as local_at,
       e.exhibition_id,
       e.exhibition_name,
       x.floors,
       x.department_name,
       t.incident_type_id,
       t.description as incident_type
from incident i
join exhibition e using (exhibition_id)
join exhibition_info x using (exhibition_id)
join incident_type t using (incident_type_id);

-- How well each exhibition does; one without reviews has no average.
create or replace view exhibition_rating as
select e.exhibition_id,
       e.exhibition_name,
       d.department_name,
       coalesce(r.reviews, 0) as reviews,
       round(r.average_rating, 4) as average_rating,
       (select l.description from rating_desc l where l.rating_id = round(r.average_rating)) as nearest_label,
       coalesce(i.incidents, 0) as incidents,
       round(1000.0 * i.incidents / nullif(r.reviews, 0), 1) as incidents_per_1000_reviews
from exhibition e
left join department d using (department_id)
left join (
    select exhibition_id,
           sum(reviews)::bigint as reviews,
           sum(rating_id * reviews) / nullif(sum(reviews), 0) as average_rating
    from review_tally
    group by exhibition_id
) r using (exhibition_id)
left join (
    select exhibition_id, sum(incidents)::bigint as incidents
    from incident_tally
    group by exhibition_id
) i using (exhibition_id);

-- How often each rating was given in each exhibition.
create or replace view rating_distribution as
select e.exhibition_id,
       e.exhibition_name,
       l.rating_id,
       l.description as rating,
       coalesce(c.reviews, 0) as reviews
from exhibition e
cross join rating_desc l
left join (
    select exhibition_id, rating_id, sum(reviews)::bigint as reviews
    from review_tally
    group by exhibition_id, rating_id
) c using (exhibition_id, rating_id);

-- How each department does: its popularity and its average.
create or replace view department_rating as
select d.department_name,
       coalesce(sum(r.reviews), 0)::bigint as reviews,
       round(sum(r.rating_id * r.reviews) / nullif(sum(r.reviews), 0), 4) as average_rating
from department d
left join exhibition e using (department_id)
left join review_tally r using (exhibition_id)
group by d.department_name;

-- Reviews and requests for help by hour of the local day: which hours are busiest.
create or replace view hourly_activity as
select coalesce(r.hour, i.hour) as hour,
       coalesce(r.reviews, 0) as reviews,
       round(r.average_rating, 4) as average_rating,
       coalesce(i.incidents, 0) as incidents,
       coalesce(i.emergencies, 0) as emergencies
from (
    select extract(hour from hour at time zone 'Europe/London')::integer as hour,
           sum(reviews)::bigint as reviews,
           sum(rating_id * reviews) / nullif(sum(reviews), 0) as average_rating
    from review_tally
    group by 1
    having sum(reviews) <> 0
) r
full join (
    select extract(hour from hour at time zone 'Europe/London')::integer as hour,
           sum(incidents)::bigint as incidents,
           coalesce(sum(incidents) filter (where incident_type_id = 1), 0)::bigint as emergencies
    from incident_tally
    group by 1
    having sum(incidents) <> 0
) i on i.hour = r.hour;

-- The average rating over time, by local day and hour.
create or replace view rating_over_time as
select e.exhibition_id,
       e.exhibition_name,
       r.hour at time zone 'Europe/London' as local_hour,
       sum(r.reviews)::bigint as reviews,
       round(sum(r.rating_id * r.reviews) / nullif(sum(r.reviews), 0), 4) as average_rating
from review_tally r
join exhibition e using (exhibition_id)
group by e.exhibition_id, e.exhibition_name, local_hour
having sum(r.reviews) <> 0;

-- Positive ratings (3 and above) before and after 13:00.
create or replace view positive_ratings_by_half_day as
select case when (hour at time zone 'Europe/London')::time < '13:00' then 'before 13:00' else 'from 13:00' end as half_day,
       sum(reviews)::bigint as positive_reviews
from review_tally
where rating_id >= 3
group by half_day
having sum(reviews) <> 0;

-- Requests for help by floor, exhibition, type and local hour. An exhibition on two floors counts on both.
create or replace view floor_requests as
select f.floor_name,
       e.exhibition_name,
       t.description as incident_type,
       extract(isodow from i.hour at time zone 'Europe/London')::integer as weekday,
       extract(hour from i.hour at time zone 'Europe/London')::integer as hour,
       sum(i.incidents)::bigint as requests
from incident_tally i
join exhibition e using (exhibition_id)
join floor_assignment a using (exhibition_id)
join floor f using (floor_id)
join incident_type t using (incident_type_id)
group by f.floor_name, e.exhibition_name, t.description, weekday, 5
having sum(i.incidents) <> 0;

-- Requests for help over time, by local hour, exhibition and type.
create or replace view request_over_time as
select e.exhibition_id,
       e.exhibition_name,
       t.description as incident_type,
       i.hour at time zone 'Europe/London' as local_hour,
       sum(i.incidents)::bigint as requests
from incident_tally i
join exhibition e using (exhibition_id)
join incident_type t using (incident_type_id)
group by e.exhibition_id, e.exhibition_name, t.description, local_hour
having sum(i.incidents) <> 0;

insert into meta.schema_version (system, version)
values ('museum', 6)
on conflict (system) do update
    set version = excluded.version,
        applied_at = now()
    where meta.schema_version.version < excluded.version;

commit;
