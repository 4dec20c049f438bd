-- Schema of the smallest system; twice is harmless: everything is created only where it is missing.
create table if not exists number (
    position text primary key,
    n        numeric not null
);
insert into meta.schema_version (system, version) values ('smallest', 1) on conflict (system) do nothing;
