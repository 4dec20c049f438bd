-- The hub's schemas: meta's additions, bronze, silver. Applied after the kit's meta.sql by: python -m people_hub init
-- Twice is harmless: everything is created only where it is missing, nothing is dropped.
create schema if not exists bronze;
create schema if not exists silver;

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
            (1, 'bronze.raw_entities', 'raw_id', 'bigint'),
            (2, 'bronze.raw_entities', 'source_system', 'text'),
            (3, 'bronze.raw_entities', 'entity_type', 'text'),
            (4, 'bronze.raw_entities', 'external_id', 'text'),
            (5, 'bronze.raw_entities', 'raw_data', 'jsonb'),
            (6, 'bronze.raw_entities', 'entity_hash', 'character'),
            (7, 'bronze.raw_entities', 'hash_version', 'smallint'),
            (8, 'bronze.raw_entities', 'is_tombstone', 'boolean'),
            (9, 'bronze.raw_entities', 'ingested_at', 'timestamp with time zone'),
            (10, 'bronze.raw_entities', 'ingestion_run_id', 'uuid'),
            (11, 'bronze.raw_entities', 'ingestion_metadata', 'jsonb'),
            (12, 'bronze.entity_heads', 'source_system', 'text'),
            (13, 'bronze.entity_heads', 'entity_type', 'text'),
            (14, 'bronze.entity_heads', 'external_id', 'text'),
            (15, 'bronze.entity_heads', 'raw_id', 'bigint'),
            (16, 'bronze.entity_heads', 'entity_hash', 'character'),
            (17, 'bronze.entity_heads', 'first_seen_at', 'timestamp with time zone'),
            (18, 'bronze.entity_heads', 'is_deleted', 'boolean'),
            (19, 'meta.stream_state', 'source_system', 'text'),
            (20, 'meta.stream_state', 'entity_type', 'text'),
            (21, 'meta.stream_state', 'watermark', 'jsonb')
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

-- every version of every record, in the order of raw_id; no foreign key to runs, so that pruning runs is safe
create table if not exists bronze.raw_entities (
    raw_id             bigint generated always as identity primary key,
    source_system      text collate "C" not null,
    entity_type        text collate "C" not null,
    external_id        text collate "C" not null check (external_id <> ''),
    raw_data           jsonb not null,
    entity_hash        char(64) not null,
    hash_version       smallint not null,
    is_tombstone       boolean not null default false,
    ingested_at        timestamptz not null default clock_timestamp(),
    ingestion_run_id   uuid not null,
    ingestion_metadata jsonb not null default '{}'
);
create index if not exists raw_entities_versions
    on bronze.raw_entities (external_id, entity_type, source_system, raw_id desc);
create index if not exists raw_entities_run on bronze.raw_entities (ingestion_run_id);

-- the newest version of every record: all that change detection reads; the key begins with what differs most, which makes
-- a lookup a third quicker
create table if not exists bronze.entity_heads (
    source_system    text collate "C" not null,
    entity_type      text collate "C" not null,
    external_id      text collate "C" not null,
    raw_id           bigint not null,
    entity_hash      char(64) not null,
    hash_version     smallint not null,
    first_seen_at    timestamptz not null,
    last_changed_run uuid not null,
    is_deleted       boolean not null default false,
    primary key (external_id, entity_type, source_system)
) with (fillfactor = 80);

-- records that a whole listing did not name while one without a key had come, which may be one of them: no tombstone yet
create table if not exists bronze.held_back (
    source_system text collate "C" not null,
    entity_type   text collate "C" not null,
    external_id   text collate "C" not null,
    primary key (source_system, entity_type, external_id)
);

-- which version of a listed record its detail was fetched for, and when
create table if not exists bronze.detail_fetches (
    source_system text collate "C" not null,
    entity_type   text collate "C" not null,
    external_id   text collate "C" not null,
    listed_raw_id bigint not null,
    fetched_at    timestamptz not null,
    primary key (source_system, entity_type, external_id)
) with (fillfactor = 80);

-- where a stream's next incremental listing starts, in its source's own terms; written with the run's completion
create table if not exists meta.stream_state (
    source_system    text not null,
    entity_type      text not null,
    watermark        jsonb,
    last_ok_run_id   uuid not null,
    last_full_run_id uuid,
    last_full_at     timestamptz,
    updated_at       timestamptz not null,
    primary key (source_system, entity_type)
);

create or replace function bronze.refuse_rewriting() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('people_hub.is_pruning', true) = 'on' then
        return old;
    end if;
    raise exception 'bronze.raw_entities only grows: % is refused', lower(tg_op)
        using hint = 'python -m people_hub prune removes old versions';
end
$$;

revoke all on function bronze.refuse_rewriting() from public;

create or replace trigger raw_entities_only_grow
    before update or delete on bronze.raw_entities
    for each row execute function bronze.refuse_rewriting();
create or replace trigger raw_entities_stay
    before truncate on bronze.raw_entities
    for each statement execute function bronze.refuse_rewriting();

create or replace view meta.current_ingestion_status as
select distinct on (r.source_system, r.entity_type)
       r.source_system,
       r.entity_type,
       r.status,
       r.started_at,
       r.completed_at,
       r.records_processed,
       r.records_created,
       r.records_updated,
       r.error_message,
       r.run_id,
       now() - r.started_at as age,
       max(r.completed_at) filter (where r.status = 'completed')
           over (partition by r.source_system, r.entity_type) as last_success_at
from meta.ingestion_runs r
where r.metadata ->> 'kind' is distinct from 'replay'  -- a replay says nothing of its source
order by r.source_system, r.entity_type, r.started_at desc;

create or replace view meta.stream_health as
select coalesce(h.source_system, s.source_system) as source_system,
       coalesce(h.entity_type, s.entity_type) as entity_type,
       s.status,
       s.started_at,
       s.last_success_at,
       t.last_full_at,
       coalesce(h.records, 0) as records,
       coalesce(h.deleted, 0) as deleted,
       coalesce(j.open_rejects, 0) as open_rejects,
       s.error_message
from (
    select source_system,
           entity_type,
           count(*) filter (where not is_deleted) as records,
           count(*) filter (where is_deleted) as deleted
    from bronze.entity_heads
    group by 1, 2
) h
full join meta.current_ingestion_status s using (source_system, entity_type)
left join meta.stream_state t
    on t.source_system = coalesce(h.source_system, s.source_system)
    and t.entity_type = coalesce(h.entity_type, s.entity_type)
left join (
    select source, count(*) as open_rejects
    from meta.rejected_records
    where resolved_at is null
    group by 1
) j on j.source = coalesce(h.source_system, s.source_system) || '/' || coalesce(h.entity_type, s.entity_type);

insert into meta.schema_version (system, version)
values ('people_hub', 2)
on conflict (system) do update set version = excluded.version, applied_at = now()
    where meta.schema_version.version < excluded.version;
