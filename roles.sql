-- Two roles with no more rights than they need: psql -f roles.sql as the owner of the schema, after schema.sql; a second
-- time is harmless and brings new tables in. The same without psql: python load.py --apply-roles
-- Neither logs in by itself. Give each program a login of its own:
--   create role museum_pipeline login in role museum_loader;
--   create role museum_dashboard login in role museum_reader;
-- and a password by \password in psql, which sends it encrypted.
begin;

do $$
begin
    if not exists (select from pg_roles where rolname = 'museum_reader') then
        create role museum_reader nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'museum_loader') then
        create role museum_loader nologin;
    end if;
    execute format('grant connect on database %I to museum_reader, museum_loader', current_database());
    execute format('grant temporary on database %I to museum_loader', current_database());
end
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- museum_reader: dashboards and BI tools
-- ---------------------------------------------------------------------------------------------------------------------

-- Everything may be read but the raw bytes of rejected records, which nobody has checked.
grant usage on schema public, meta to museum_reader;
grant select on
    department, floor, exhibition, floor_assignment, rating_desc, incident_type, event_source, review, incident,
    review_hour, review_hour_change, incident_hour, incident_hour_change, review_tally, incident_tally,
    archived_month, archived_source, exhibition_info, rating_info, request_info, exhibition_rating, rating_distribution, department_rating,
    hourly_activity, rating_over_time, positive_ratings_by_half_day, floor_requests, request_over_time,
    meta.schema_version, meta.ingestion_runs
    to museum_reader;
grant select (source, position, reasons, run_id, first_seen, last_seen, resolved_at)
    on meta.rejected_records to museum_reader;
grant execute on function archive_border() to museum_reader;

-- ---------------------------------------------------------------------------------------------------------------------
-- museum_loader: pipeline.py and consumer.py
-- ---------------------------------------------------------------------------------------------------------------------

-- No right to change or drop a table, to empty one as a whole, to touch buttons, or to delete a run or a reject. Of the hourly
-- counts it notes the differences that its presses make, and folds them.
grant usage on schema public, meta to museum_loader;
grant select on
    rating_desc, incident_type, archived_month, archived_source, meta.schema_version, exhibition_info
    to museum_loader;
grant select, insert on department, floor to museum_loader;
grant select, insert, update on exhibition, event_source, meta.ingestion_runs, meta.rejected_records to museum_loader;
grant select, insert, delete on floor_assignment, review, incident to museum_loader;
grant select, insert, update, delete on review_hour, incident_hour to museum_loader;
grant select, insert, delete on review_hour_change, incident_hour_change to museum_loader;
grant execute on function
    site_exhibition_id(integer), source_name(event_source), utc_hour(timestamptz), lock_hours(), archive_border(),
    hold_border(boolean)
    to museum_loader;

commit;
