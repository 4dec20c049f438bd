-- Fills: nothing; takes the constraints and the hourly trigger off the empty incident table, for rebuild_incident_constraints.sql to put back.
-- Reads: nothing.
-- Twice is safe: what is not there is not dropped; a failure rolls the whole transaction back.
alter table incident
    drop constraint if exists incident_source_id_fkey,
    drop constraint if exists incident_exhibition_id_fkey,
    drop constraint if exists incident_incident_type_id_fkey,
    drop constraint if exists incident_source_id_position_key,
    drop constraint if exists incident_pkey,
    disable trigger incident_hour_insert
