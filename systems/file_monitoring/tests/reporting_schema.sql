-- The reporting tables as bms-admin has them, for the tests and the demo: unique constraint, NOT NULL and columns that nobody
-- here reads included. Twice is harmless: everything is created only where it is missing.
create schema if not exists reporting;

create table if not exists reporting.agency (
    id   serial primary key,
    name text
);

create table if not exists reporting.monitoring_file_schema_definition (
    id          serial primary key,
    name        varchar(255) not null unique,
    description text,
    definition  jsonb not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null
);

create table if not exists reporting.monitoring_file (
    id                        serial primary key,
    s3_url                    varchar(250) not null,
    file_name                 varchar(250) not null,
    range                     varchar(20) not null,
    is_active                 boolean not null,
    agency_id                 integer references reporting.agency,
    agency_slug               varchar(255) not null,
    notify_slack              boolean not null,
    is_missing                boolean not null,
    latest_data_quality_score integer,
    schema_definition_id      integer references reporting.monitoring_file_schema_definition on delete set null,
    has_wildcard              boolean,
    wildcard_mask             varchar(250),
    is_suppressed             boolean,
    secret                    text
);

create table if not exists reporting.monitoring_file_run (
    id                     serial primary key,
    monitoring_file_id     integer not null references reporting.monitoring_file on delete cascade,
    created_at             timestamptz not null,
    file_size              bigint not null,
    run_date               date not null,
    run_hour               integer not null check (run_hour between 0 and 23),
    agency_id              integer,
    updated_at             timestamptz,
    file_last_modified     timestamptz,
    file_range_lower_limit timestamptz,
    constraint monitoring_file_run_once unique (monitoring_file_id, run_date, run_hour)
);

create table if not exists reporting.monitoring_file_data_quality (
    id                        serial primary key,
    monitoring_file_run_id    integer not null unique references reporting.monitoring_file_run on delete cascade,
    score                     integer not null check (score between 0 and 100),
    passed                    boolean not null,
    metrics                   jsonb not null,
    deductions                jsonb not null,
    created_at                timestamptz not null,
    failed_validation_message text,
    failed_validation_rules   jsonb,
    acknowledged_at           timestamptz
);
