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
