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

-- how a table of silver was last built: by which rules, by which run it changed last, and upon which changes of others
create table if not exists meta.transform_state (
    entity_type    text primary key,
    rule_version   bigint not null,
    changed_by_run uuid not null,
    built_upon     jsonb not null
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

-- when a record was last seen, in its source's own words: no change of it and no version, so it lies beside the head
create table if not exists bronze.entity_activity (
    source_system text collate "C" not null,
    entity_type   text collate "C" not null,
    external_id   text collate "C" not null,
    activity      jsonb not null,
    primary key (external_id, entity_type, source_system)
) with (fillfactor = 80);

-- Silver's own words: how a value is read, the same everywhere. Null is what says nothing.
create or replace function silver.cleaned(value text) returns text
language sql immutable parallel safe
return case
    when lower(btrim(value, E' \t\r\n\u00a0') collate "C") = any (
        '{"", "n/a", "none", "null", "00000000-0000-0000-0000-000000000000", "0001-01-01t00:00:00z"}'::text[]
    ) then null
    else btrim(value, E' \t\r\n\u00a0')
end;

-- a field of a record as text; of a directory's list the first value, and an object is no text
create or replace function silver.text_at(record jsonb, name text) returns text
language sql immutable parallel safe
return case jsonb_typeof(record -> name)
    when 'array' then silver.cleaned(record -> name ->> 0)
    when 'object' then null
    else silver.cleaned(record ->> name)
end;

-- the same of a field that jsonb_to_record gave as text, which reads a whole record at a fraction of the price; what begins
-- like a list or an object is asked for its type in the record
create or replace function silver.text_in(value text, record jsonb, name text) returns text
language sql immutable parallel safe
return case
    when value like '[%' or value like '{%' then silver.text_at(record, name)
    else silver.cleaned(value)
end;

-- a field that is a list, or one value of it; a directory's lists are sorted
create or replace function silver.texts_at(record jsonb, name text) returns text[]
language sql immutable parallel safe
return case jsonb_typeof(record -> name)
    when 'array' then array(
        select silver.cleaned(one)
        from jsonb_array_elements_text(record -> name) one
        where silver.cleaned(one) is not null
    )
    else array_remove(array[silver.text_at(record, name)], null)
end;

-- a field that is a whole number of at most 15 digits, as a number or as text
create or replace function silver.number_at(record jsonb, name text) returns bigint
language sql immutable parallel safe
return case
    when record ->> name ~ '^-?[0-9]{1,15}$' then (record ->> name)::bigint
    when silver.text_at(record, name) ~ '^-?[0-9]{1,15}(\.0+)?$'
    then split_part(silver.text_at(record, name), '.', 1)::bigint
end;

create or replace function silver.truth_at(record jsonb, name text) returns boolean
language sql immutable parallel safe
return case lower(silver.text_at(record, name) collate "C")
    when 'true' then true
    when 'false' then false
end;

create or replace function silver.uniqname_of(value text) returns text
language sql immutable parallel safe
return case  -- a letter, then letters, digits, dots and hyphens; a regular expression takes four times as long
    when octet_length(value) between 1 and 50
        and left(lower(value collate "C"), 1) between 'a' and 'z'
        and translate(lower(value collate "C"), 'abcdefghijklmnopqrstuvwxyz0123456789.-', '') = ''
    then lower(value collate "C")
end;

-- a text that is looked up, short enough for an index: of a very long one its beginning and its digest
create or replace function silver.key_text(value text) returns text
language sql immutable parallel safe
return case when octet_length(value) <= 500 then value else left(value, 200) || ' ' || md5(value) end;

-- one @ between texts without blanks
create or replace function silver.is_email(value text) returns boolean
language sql immutable parallel safe
return value ~ '^[^@\s\u00a0]+@[^@\s\u00a0]+$';

-- ISO (UTC where it has no offset), month/day/year as KeyConfigure writes it, LDAP's generalized time, or Active Directory's
-- hundreds of nanoseconds since 1601; null for anything else, and for the years that mean never
create or replace function silver.moment_of(value text) returns timestamptz
language plpgsql immutable parallel restricted strict
set timezone = 'UTC' set datestyle = 'ISO, MDY'
as $$
declare
    moment timestamptz;
begin
    if value ~ '^[0-9]{14}(\.[0-9]+)?Z$' then
        moment := (substr(value, 1, 8) || 'T' || substr(value, 9, 6) || 'Z')::timestamptz;
    elsif value ~ '^[0-9]{17,18}$' then
        moment := timestamptz '1601-01-01 00:00:00Z' + value::bigint / 10000000 * interval '1 second';
    elsif value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$' then
        moment := value::timestamptz;
    elsif value ~ '^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( ?[AaPp][Mm])?)?$' then
        moment := value::timestamptz;
    end if;
    return case when extract(year from moment) between 1602 and 9998 then moment end;
exception
    when data_exception then return null;
end
$$;

-- a distinguished name in one form (RFC 4514): case and blanks folded, escapes undone and made again, parts of one level
-- sorted; what is none is folded as it stands
create or replace function silver.parsed_dn(dn text) returns text
language plpgsql immutable parallel restricted strict
as $$
declare
    plain text;
    unit text;
    levels text[] := '{}';
    parts text[] := '{}';
    part text := '';
    is_quoted boolean := false;
    name text;
    place int := 1;
    last int;
begin
    last := length(dn);
    while place <= last + 1 loop
        unit := substr(dn, place, 1);
        if unit = '\' and place < last then  -- a pair of digits is a byte, anything else is itself
            if substr(dn, place + 1, 2) ~ '^[0-9A-Fa-f]{2}$' then
                unit := (regexp_match(substr(dn, place), '^(?:\\[0-9A-Fa-f]{2})+'))[1];
                begin
                    part := part || regexp_replace(
                        convert_from(decode(replace(unit, '\', ''), 'hex'), 'UTF8'), '([\\,+"<>;])', '\\\1', 'g'
                    );
                exception
                    when data_exception then part := part || unit;
                end;
                place := place + length(unit);
            else
                unit := substr(dn, place + 1, 1);
                part := part || case when unit ~ '[\\,+"<>;]' then '\' || unit else unit end;
                place := place + 2;
            end if;
            continue;
        end if;
        if unit = '"' then
            is_quoted := not is_quoted;
        elsif is_quoted and unit ~ '[,+<>;]' then
            part := part || '\' || unit;
        elsif unit in (',', ';', '+') or unit = '' then
            name := split_part(part, '=', 1);
            plain := substr(part, length(name) + 2);
            parts := parts || (
                lower(btrim(name)) || case when part like '%=%' then '=' else '' end
                || lower(btrim(regexp_replace(plain, '\s+', ' ', 'g')))
            );
            part := '';
            if unit <> '+' then
                levels := levels || array_to_string(array(select p from unnest(parts) p order by p collate "C"), '+');
                parts := '{}';
            end if;
        else
            part := part || unit;
        end if;
        place := place + 1;
    end loop;
    return array_to_string(levels, ',');
end
$$;

-- most names need no parsing: nothing in them is escaped or quoted, and no blank stands where it says nothing
create or replace function silver.canonical_dn(dn text) returns text
language sql immutable parallel restricted
return case
    when strpos(dn, '\') = 0 and strpos(dn, '"') = 0 and strpos(dn, '+') = 0 and strpos(dn, ';') = 0 and strpos(dn, '#') = 0
        and dn not like '% ,%' and dn not like '%, %' and dn not like '% =%' and dn not like '%= %' and dn not like '%  %'
        and dn not like ' %' and dn not like '% ' and strpos(dn, E'\t') = 0 and strpos(dn, E'\n') = 0
        or octet_length(dn) > 8000
    then lower(dn)
    else silver.parsed_dn(dn)
end;

-- the first part of a distinguished name as people write it: `Surname, Given` of `CN=Surname\2C Given,OU=Accounts`
create or replace function silver.name_in_dn(dn text) returns text
language plpgsql immutable parallel restricted strict
as $$
declare
    part text := (regexp_match(dn, '^[^=]*=\s*("(?:[^"\\]|\\.)*"|(?:[^\\,+;]|\\[0-9A-Fa-f]{2}|\\.)*)'))[1];
    piece text;
    name text := '';
begin
    if octet_length(dn) > 8000 then
        return silver.cleaned(part);
    end if;
    if part like '"%"' then
        part := substr(part, 2, length(part) - 2);
    end if;
    for piece in select m.texts[1] from regexp_matches(part, '((?:\\[0-9A-Fa-f]{2})+|\\.|[^\\]+)', 'g') m (texts) loop
        if piece ~ '^\\[0-9A-Fa-f]{2}' then
            begin
                name := name || convert_from(decode(replace(piece, '\', ''), 'hex'), 'UTF8');
            exception
                when data_exception then name := name || '?';
            end;
        elsif piece like '\\%' then
            name := name || substr(piece, 2);
        else
            name := name || piece;
        end if;
    end loop;
    return silver.cleaned(name);
end
$$;

-- what a flag costs: a missing source 0.10, a missing key field or a mismatch 0.05, anything else nothing
create or replace function silver.flag_cost(flag text) returns numeric
language sql immutable parallel safe
return case
    when flag like 'missing\_%\_source' then 0.10
    when flag like 'missing\_%' or flag like '%\_mismatch' then 0.05
    else 0.00
end;

create or replace function silver.quality_score(flags text[]) returns numeric
language sql immutable parallel safe
return case
    when flags = '{}' then 1.00
    else (select greatest(0.00, round(1.00 - sum(silver.flag_cost(flag)), 2)) from unnest(flags) flag)
end;

-- texts once each, in the order in which they first stand
create or replace function silver.once_each(texts text[]) returns text[]
language sql immutable parallel safe
return array(
    select one
    from unnest(texts) with ordinality t (one, place)
    where one is not null
    group by one
    order by min(place)
);

-- twelve upper-case hexadecimal digits of every MAC in a text, in their order; placeholders are none
create or replace function silver.macs_of(value text) returns text[]
language sql immutable parallel safe
return silver.once_each(array(
    select nullif(nullif(upper(regexp_replace(found[1], '[^0-9A-Fa-f]', '', 'g')), '000000000000'), 'FFFFFFFFFFFF')
    from regexp_matches(value, '(?<![0-9A-Fa-f])([0-9A-Fa-f]{2}(?:[:. -]?[0-9A-Fa-f]{2}){5})(?![0-9A-Fa-f])', 'g') found
));

-- a serial number in capitals; null for what is too short or stands in for one
create or replace function silver.serial_of(value text) returns text
language sql immutable parallel safe
return case
    when length(btrim(value)) < 4
        or upper(btrim(value)) ~ '^(.)\1*$'
        or upper(btrim(value)) ~ '^(SYSTEM |CHASSIS )?SERIAL( NUMBER)?$|^TO BE FILLED BY O\.?E\.?M\.?$|^DEFAULT STRING$'
        or upper(btrim(value)) ~ '^NOT (SPECIFIED|AVAILABLE|APPLICABLE)$|^UNKNOWN$|^INVALID$|^0?123456789[0-9]?$'
    then null
    else silver.cleaned(upper(btrim(value)))
end;

-- Source tables: what one source says last of one thing; `raw_id` is the version of bronze that a row was made from.
create table if not exists silver.umapi_departments (
    external_id         text collate "C" primary key,
    dept_id             text collate "C",
    department_name     text,
    dept_group          text,
    dept_group_campus   text,
    dept_group_vp_area  text,
    college_name        text,
    campus_name         text,
    vp_area_name        text,
    raw_id              bigint not null,
    is_deleted          boolean not null,
    updated_at          timestamptz not null default now(),
    ingestion_run_id    uuid not null
);
create index if not exists umapi_departments_dept_id on silver.umapi_departments (dept_id);

create table if not exists silver.tdx_departments (
    external_id       text collate "C" primary key,
    tdx_id            bigint,
    dept_id           text collate "C",
    department_name   text,
    dept_notes        text,
    is_active         boolean,
    parent_id         bigint,
    manager_uid       text,
    tdx_created_date  timestamptz,
    tdx_modified_date timestamptz,
    location_info     jsonb,
    raw_id            bigint not null,
    detail_raw_id     bigint,
    is_deleted        boolean not null,
    updated_at        timestamptz not null default now(),
    ingestion_run_id  uuid not null
);
create index if not exists tdx_departments_tdx_id on silver.tdx_departments (tdx_id);
create index if not exists tdx_departments_dept_id on silver.tdx_departments (dept_id);

-- one row an appointment; `uniqname` is the record's own, or the one that its EmplId has elsewhere
create table if not exists silver.umapi_employees (
    external_id          text collate "C" primary key,
    empl_id              text collate "C",
    empl_rcd             bigint,
    uniqname             text collate "C",
    own_uniqname         text collate "C",
    first_name           text,
    last_name            text,
    full_name            text,
    department_id        text collate "C",
    supervisor_id        text collate "C",
    jobcode              text,
    department_job_title text,
    university_job_title text,
    work_phone           text,
    work_address         text,
    work_city            text,
    work_state           text,
    work_postal          text,
    work_country         text,
    raw_id               bigint not null,
    is_deleted           boolean not null,
    updated_at           timestamptz not null default now(),
    ingestion_run_id     uuid not null
);
create index if not exists umapi_employees_uniqname on silver.umapi_employees (uniqname);
create index if not exists umapi_employees_empl_id on silver.umapi_employees (empl_id);

create table if not exists silver.mcommunity_users (
    external_id       text collate "C" primary key,
    uid_number        text collate "C",
    uniqname          text collate "C",
    distinguished_name text collate "C",
    preferred_name    text,
    first_name        text,
    last_name         text,
    primary_email     text,
    malformed_email   text,
    work_phone        text,
    ou                jsonb not null,
    is_active         boolean not null,
    umich_title       text,
    gid_number        text,
    home_directory    text,
    login_shell       text,
    raw_id            bigint not null,
    is_deleted        boolean not null,
    updated_at        timestamptz not null default now(),
    ingestion_run_id  uuid not null
);
create index if not exists mcommunity_users_uniqname on silver.mcommunity_users (uniqname);

create table if not exists silver.ad_users (
    external_id          text collate "C" primary key,
    ad_user_guid         text collate "C",
    uniqname             text collate "C",
    is_person            boolean not null,
    sam_account_name     text,
    distinguished_name   text collate "C",
    display_name         text,
    first_name           text,
    last_name            text,
    title                text,
    primary_email        text,
    malformed_email      text,
    work_phone           text,
    mobile               text,
    user_account_control bigint,
    is_active            boolean not null,
    uid_number           text,
    gid_number           text,
    home_directory       text,
    login_shell          text,
    raw_id               bigint not null,
    is_deleted           boolean not null,
    updated_at           timestamptz not null default now(),
    ingestion_run_id     uuid not null
);
create index if not exists ad_users_uniqname on silver.ad_users (uniqname);

create table if not exists silver.tdx_users (
    external_id        text collate "C" primary key,
    tdx_user_uid       text collate "C",
    uniqname           text collate "C",
    external_number    text collate "C",
    first_name         text,
    last_name          text,
    full_name          text,
    primary_email      text,
    malformed_email    text,
    work_phone         text,
    mobile_phone       text,
    work_address       text,
    work_city          text,
    work_state         text,
    work_postal        text,
    work_country       text,
    title              text,
    default_account_id bigint,
    reports_to_uid     text,
    is_active          boolean,
    is_employee        boolean,
    beid               text,
    security_role_name text,
    group_ids          bigint[],
    raw_id             bigint not null,
    detail_raw_id      bigint,
    is_deleted         boolean not null,
    updated_at         timestamptz not null default now(),
    ingestion_run_id   uuid not null
);
create index if not exists tdx_users_uniqname on silver.tdx_users (uniqname);
create index if not exists tdx_users_external_number on silver.tdx_users (external_number);

create table if not exists silver.mcommunity_groups (
    external_id        text collate "C" primary key,
    mcommunity_gid     text collate "C",
    group_id           text collate "C",
    group_name         text,
    aliases            text[] not null,
    distinguished_name text collate "C",
    email_name         text,
    description        text,
    is_private         boolean,
    is_members_only    boolean,
    is_joinable        boolean,
    expiry_timestamp   timestamptz,
    owners             text[] not null,
    members            text[] not null,
    direct_members     text[] not null,
    external_members   text[] not null,
    raw_id             bigint not null,
    is_deleted         boolean not null,
    updated_at         timestamptz not null default now(),
    ingestion_run_id   uuid not null
);
create index if not exists mcommunity_groups_group_id on silver.mcommunity_groups (group_id);

create table if not exists silver.ad_groups (
    external_id        text collate "C" primary key,
    ad_group_guid      text collate "C",
    group_id           text collate "C",
    group_name         text,
    distinguished_name text collate "C",
    sam_account_name   text,
    email_name         text,
    description        text,
    group_type         bigint,
    gid_number         text collate "C",
    managed_by         text,
    members            text[] not null,
    raw_id             bigint not null,
    is_deleted         boolean not null,
    updated_at         timestamptz not null default now(),
    ingestion_run_id   uuid not null
);
create index if not exists ad_groups_group_id on silver.ad_groups (group_id);

create table if not exists silver.tdx_assets (
    external_id          text collate "C" primary key,
    tdx_asset_id         bigint,
    tag                  text,
    computer_name        text,
    serial_number        text collate "C",
    mac_addresses        text[] not null,
    ip_addresses         text,
    status_name          text,
    owning_customer_id   text,
    financial_owner_uid  text,
    owning_department_id bigint,
    manufacturer_name    text,
    product_model_name   text,
    os_name              text,
    location_info        jsonb,
    raw_id               bigint not null,
    detail_raw_id        bigint,
    is_deleted           boolean not null,
    updated_at           timestamptz not null default now(),
    ingestion_run_id     uuid not null
);

-- KeyConfigure has a row a network card; its computers are those of one name and serial
create table if not exists silver.keyconfigure_cards (
    external_id      text collate "C" primary key,
    mac_address      text collate "C",
    computer_id      text collate "C" not null,
    computer_name    text,
    serial_number    text collate "C",
    cpu              text,
    cpu_cores        bigint,
    ram_mb           bigint,
    disk_gb          numeric,
    os_family        text,
    os_name          text,
    os_version       text,
    owner            text,
    raw_id           bigint not null,
    is_deleted       boolean not null,
    updated_at       timestamptz not null default now(),
    ingestion_run_id uuid not null
);
create index if not exists keyconfigure_cards_computer_id on silver.keyconfigure_cards (computer_id);

create table if not exists silver.ad_computers (
    external_id        text collate "C" primary key,
    object_guid        text collate "C",
    computer_name      text,
    distinguished_name text collate "C",
    dns_hostname       text,
    operating_system   text,
    operating_system_version text,
    is_enabled         boolean,
    managed_by         text,
    description        text,
    raw_id             bigint not null,
    is_deleted         boolean not null,
    updated_at         timestamptz not null default now(),
    ingestion_run_id   uuid not null
);

-- Consolidated tables: one row a department and a person, from all that the sources say.
create table if not exists silver.departments (
    dept_id            text collate "C" primary key,
    department_name    text,
    is_active          boolean not null,
    parent_dept_id     text collate "C",
    college_name       text,
    campus_name        text,
    vp_area_name       text,
    dept_group         text,
    dept_group_campus  text,
    dept_group_vp_area text,
    hierarchical_path  text,
    tdx_id             bigint,
    tdx_manager_uid    text,
    location_info      jsonb,
    description        text,
    tdx_created_date   timestamptz,
    tdx_modified_date  timestamptz,
    source_system      text not null,
    data_quality_score numeric(3, 2) not null check (data_quality_score between 0 and 1),
    quality_flags      jsonb not null,
    entity_hash        char(64) not null,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    ingestion_run_id   uuid not null
);
create index if not exists departments_tdx_id on silver.departments (tdx_id);
create index if not exists departments_parent_dept_id on silver.departments (parent_dept_id);

create table if not exists silver.users (
    uniqname                    text collate "C" primary key,
    tdx_user_uid                text,
    umich_empl_id               text,
    umich_empl_ids              text[] not null,
    ldap_uid_number             text,
    ldap_gid_number             text,
    ad_object_guid              text,
    ad_sam_account_name         text,
    first_name                  text,
    last_name                   text,
    full_name                   text,
    preferred_name              text,
    primary_email               text,
    work_phone                  text,
    mobile_phone                text,
    work_address                text,
    work_city                   text,
    work_state                  text,
    work_postal                 text,
    work_country                text,
    department_id               text collate "C",
    department_name             text,
    department_ids              text[] not null,
    job_title                   text,
    department_job_title        text,
    primary_job_code            text,
    job_codes                   text[] not null,
    primary_supervisor_id       text,
    primary_supervisor_uniqname text,
    supervisor_ids              text[] not null,
    reports_to_uid              text,
    is_active                   boolean not null,
    is_employee                 boolean not null,
    ad_account_disabled         boolean,
    mcommunity_ou_affiliations  jsonb not null,
    tdx_group_ids               bigint[] not null,
    home_directory              text,
    login_shell                 text,
    tdx_external_id             text,
    tdx_beid                    text,
    tdx_security_role_name      text,
    source_system               text not null,
    data_quality_score          numeric(3, 2) not null check (data_quality_score between 0 and 1),
    quality_flags               jsonb not null,
    entity_hash                 char(64) not null,
    created_at                  timestamptz not null default now(),
    updated_at                  timestamptz not null default now(),
    ingestion_run_id            uuid not null
);
create index if not exists users_department_id on silver.users (department_id);

create table if not exists silver.groups (
    group_id              text collate "C" primary key,
    group_name            text,
    ad_group_guid         text,
    mcommunity_gid        text,
    sam_account_name      text,
    distinguished_name    text,
    aliases               text[] not null,
    group_email           text,
    description           text,
    is_active             boolean not null,
    is_security_group     boolean,
    is_distribution_group boolean,
    is_mcomm_adsync       boolean,
    is_private            boolean,
    is_members_only       boolean,
    is_joinable           boolean,
    expiry_timestamp      timestamptz,
    source_system         text not null,
    data_quality_score    numeric(3, 2) not null check (data_quality_score between 0 and 1),
    quality_flags         jsonb not null,
    entity_hash           char(64) not null,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    ingestion_run_id      uuid not null
);

-- who is in a group by which source's list: a user's uniqname, a group's id, an external address, or a name nobody knows
create table if not exists silver.group_members (
    group_id         text collate "C" not null,
    member_type      text collate "C" not null check (member_type in ('user', 'group', 'external', 'unknown')),
    member_key       text collate "C" not null,
    source_system    text collate "C" not null,
    is_direct        boolean not null,
    ingestion_run_id uuid not null,
    primary key (group_id, member_type, member_key, source_system)
);
create index if not exists group_members_member on silver.group_members (member_key, member_type);

create table if not exists silver.group_owners (
    group_id         text collate "C" not null,
    member_type      text collate "C" not null check (member_type in ('user', 'group', 'unknown')),
    member_key       text collate "C" not null,
    source_system    text collate "C" not null,
    ingestion_run_id uuid not null,
    primary key (group_id, member_type, member_key, source_system)
);

create table if not exists silver.computers (
    computer_uid             text collate "C" primary key,
    computer_name            text,
    aliases                  text[] not null,
    serial_number            text,
    mac_address              text,
    mac_addresses            text[] not null,
    tdx_asset_id             bigint,
    ad_object_guid           text,
    keyconfigure_id          text,
    asset_tag                text,
    owner_uniqname           text,
    financial_owner_uniqname text,
    owner_department_id      text,
    manufacturer             text,
    product_model            text,
    os_family                text,
    os_name                  text,
    os_version               text,
    cpu                      text,
    cpu_cores                bigint,
    ram_mb                   bigint,
    disk_gb                  numeric,
    ip_addresses             text,
    dns_hostname             text,
    description              text,
    status_name              text,
    is_active                boolean not null,
    is_ad_enabled            boolean,
    location_info            jsonb,
    source_system            text not null,
    data_quality_score       numeric(3, 2) not null check (data_quality_score between 0 and 1),
    quality_flags            jsonb not null,
    entity_hash              char(64) not null,
    created_at               timestamptz not null default now(),
    updated_at               timestamptz not null default now(),
    ingestion_run_id         uuid not null
);
create index if not exists computers_owner on silver.computers (owner_uniqname);

create table if not exists silver.computer_groups (
    computer_uid     text collate "C" not null,
    group_dn         text collate "C" not null,
    group_id         text,
    ingestion_run_id uuid not null,
    primary key (computer_uid, group_dn)
);

-- what the people were last built upon: departments by code, and TeamDynamix's numbers of them
create table if not exists silver.known_departments (
    dept_id         text collate "C" primary key,
    department_name text
);
create table if not exists silver.known_accounts (
    tdx_id  bigint primary key,
    dept_id text collate "C" not null
);

-- whoever is to read the tables gets no right beside them
revoke all on function silver.cleaned(text) from public;
revoke all on function silver.text_at(jsonb, text) from public;
revoke all on function silver.text_in(text, jsonb, text) from public;
revoke all on function silver.texts_at(jsonb, text) from public;
revoke all on function silver.number_at(jsonb, text) from public;
revoke all on function silver.truth_at(jsonb, text) from public;
revoke all on function silver.uniqname_of(text) from public;
revoke all on function silver.key_text(text) from public;
revoke all on function silver.is_email(text) from public;
revoke all on function silver.moment_of(text) from public;
revoke all on function silver.parsed_dn(text) from public;
revoke all on function silver.canonical_dn(text) from public;
revoke all on function silver.name_in_dn(text) from public;
revoke all on function silver.flag_cost(text) from public;
revoke all on function silver.quality_score(text[]) from public;
revoke all on function silver.once_each(text[]) from public;
revoke all on function silver.macs_of(text) from public;
revoke all on function silver.serial_of(text) from public;

-- Views for people who look.
create or replace view silver.v_quality as
select entity,
       record_key,
       source_system,
       data_quality_score as score,
       quality_flags,
       jsonb_array_length(quality_flags) as flags,
       (select count(*) from jsonb_array_elements_text(quality_flags) f where f like '%\_mismatch') as mismatches,
       (select count(*) from jsonb_array_elements_text(quality_flags) f where f like '%\_conflict') as conflicts
from (
    select 'department' as entity, dept_id as record_key, source_system, data_quality_score, quality_flags
    from silver.departments
    union all
    select 'user', uniqname, source_system, data_quality_score, quality_flags from silver.users
    union all
    select 'group', group_id, source_system, data_quality_score, quality_flags from silver.groups
    union all
    select 'computer', computer_uid, source_system, data_quality_score, quality_flags from silver.computers
) every;

create or replace view silver.v_quality_flags as
select q.entity, q.record_key, q.source_system, flag
from silver.v_quality q
cross join lateral jsonb_array_elements_text(q.quality_flags) flag;

create or replace view silver.v_quality_summary as
select entity,
       source_system,
       count(*) as records,
       count(*) filter (where flags > 0) as flagged,
       round(avg(score), 4) as average_score,
       min(score) as worst_score
from silver.v_quality
group by entity, source_system;

-- where living sources say different things: `_mismatch` costs, `_conflict` does not
create or replace view silver.v_source_conflicts as
select entity, record_key, flag, source_system
from silver.v_quality_flags
where flag ~ '_(mismatch|conflict)$';

create or replace view silver.v_user_departments as
select u.uniqname, d.department_id, n.department_name, d.department_id = u.department_id as is_primary
from silver.users u
cross join lateral (
    select u.department_id
    where u.department_id is not null
    union
    select one from unnest(u.department_ids) one
) d (department_id)
left join silver.departments n on n.dept_id = d.department_id;

create or replace view silver.v_group_summary as
select g.group_id,
       g.group_name,
       g.group_email,
       g.is_active,
       g.source_system,
       count(distinct m.member_key) filter (where m.member_type = 'user') as users,
       count(distinct m.member_key) filter (where m.member_type = 'group') as groups,
       count(distinct m.member_key) filter (where m.member_type = 'external') as externals,
       count(distinct m.member_key) filter (where m.member_type = 'unknown') as unknown,
       g.data_quality_score
from silver.groups g
left join silver.group_members m using (group_id)
group by g.group_id;

create or replace view silver.v_user_group_memberships as
select m.member_key as uniqname,
       m.group_id,
       g.group_name,
       bool_or(m.is_direct) as is_direct,
       string_agg(m.source_system, '+' order by m.source_system) as source_system
from silver.group_members m
join silver.groups g using (group_id)
where m.member_type = 'user'
  and g.is_active
group by m.member_key, m.group_id, g.group_name;

create or replace view silver.keyconfigure_computers as
select computer_id,
       min(computer_name) as computer_name,
       min(serial_number) as serial_number,
       array_agg(mac_address order by mac_address) filter (where mac_address is not null) as mac_addresses,
       count(*) as nic_count,
       bool_and(is_deleted) as is_deleted
from silver.keyconfigure_cards
group by computer_id;

-- when things were last seen, read beside bronze's heads, so that seeing them changes no record
create or replace view silver.user_activity as
select u.uniqname,
       max(silver.moment_of(a.activity ->> 'lastLogonTimestamp')) as ad_last_logon_at
from silver.users u
join silver.ad_users s on s.uniqname = u.uniqname and not s.is_deleted
join bronze.entity_activity a
    on a.external_id = s.external_id
    and a.source_system = 'active_directory'
    and a.entity_type = 'user'
group by u.uniqname;

create or replace view silver.computer_activity as
select c.computer_uid,
       (array_agg(a.activity ->> 'Last User' order by silver.moment_of(a.activity ->> 'Last Session') desc nulls last, a.external_id)
            filter (where a.activity ? 'Last User'))[1] as last_user,
       max(silver.moment_of(a.activity ->> 'Last Session')) as last_session_at,
       max(silver.moment_of(a.activity ->> 'lastLogonTimestamp')) as ad_last_logon_at,
       greatest(
           max(silver.moment_of(a.activity ->> 'Last Session')),
           max(silver.moment_of(a.activity ->> 'lastLogonTimestamp'))
       ) as last_seen_at
from silver.computers c
join (
    select computer_id, external_id, 'key_client' as source_system from silver.keyconfigure_cards where not is_deleted
    union all
    select object_guid, external_id, 'active_directory' from silver.ad_computers where not is_deleted
) s on s.computer_id = case s.source_system when 'key_client' then c.keyconfigure_id else c.ad_object_guid end
join bronze.entity_activity a
    on a.external_id = s.external_id
    and a.source_system = s.source_system
    and a.entity_type = 'computer'
group by c.computer_uid;

-- computers that were seen in the days before a day, which is the caller's: silver.computers_seen('2026-03-01', 90)
create or replace function silver.computers_seen(day date, days int default 90) returns setof silver.computer_activity
language sql stable
begin atomic
    select * from silver.computer_activity a
    where a.last_seen_at >= (day - days)::timestamp at time zone 'UTC'
      and a.last_seen_at < (day + 1)::timestamp at time zone 'UTC';
end;
revoke all on function silver.computers_seen(date, integer) from public;

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
    union all
    select 'silver_transformation',
           'department',
           count(*) filter (where source_system <> ''),
           count(*) filter (where source_system = '')
    from silver.departments
    having count(*) > 0
    union all
    select 'silver_transformation',
           'user',
           count(*) filter (where source_system <> ''),
           count(*) filter (where source_system = '')
    from silver.users
    having count(*) > 0
    union all
    select 'silver_transformation',
           'group',
           count(*) filter (where source_system <> ''),
           count(*) filter (where source_system = '')
    from silver.groups
    having count(*) > 0
    union all
    select 'silver_transformation',
           'computer',
           count(*) filter (where source_system <> ''),
           count(*) filter (where source_system = '')
    from silver.computers
    having count(*) > 0
) h
full join meta.current_ingestion_status s using (source_system, entity_type)
left join meta.stream_state t
    on t.source_system = coalesce(h.source_system, s.source_system)
    and t.entity_type = coalesce(h.entity_type, s.entity_type)
left join (
    select case split_part(source, '/', 1)
               when 'silver' then 'silver_transformation/' || split_part(source, '/', 2)
               else source
           end as stream,
           count(*) as open_rejects
    from meta.rejected_records
    where resolved_at is null
    group by 1
) j on j.stream = coalesce(h.source_system, s.source_system) || '/' || coalesce(h.entity_type, s.entity_type);

insert into meta.schema_version (system, version)
values ('people_hub', 3)
on conflict (system) do update set version = excluded.version, applied_at = now()
    where meta.schema_version.version < excluded.version;
