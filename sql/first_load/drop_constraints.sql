-- Fills: nothing; takes constraints, hourly triggers and indexes off the empty event tables, for rebuild_constraints.sql to put back.
-- Reads: nothing.
-- Twice is safe: what is not there is not dropped; a failure rolls the whole transaction back.
alter table review
    drop constraint if exists review_source_id_fkey,
    drop constraint if exists review_exhibition_id_fkey,
    drop constraint if exists review_rating_id_fkey,
    drop constraint if exists review_source_id_position_key,
    drop constraint if exists review_pkey,
    disable trigger review_hour_insert;

alter table incident
    drop constraint if exists incident_source_id_fkey,
    drop constraint if exists incident_exhibition_id_fkey,
    drop constraint if exists incident_incident_type_id_fkey,
    drop constraint if exists incident_source_id_position_key,
    drop constraint if exists incident_pkey,
    disable trigger incident_hour_insert;

drop index if exists review_at, incident_at
