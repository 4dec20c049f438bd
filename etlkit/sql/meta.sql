-- Schema meta: what the suite's systems that live in Postgres write about themselves.
-- Twice is harmless: everything is created only where it is missing.
create schema if not exists meta;

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
