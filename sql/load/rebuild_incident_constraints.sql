-- Fills: nothing; puts the constraints of schema.sql back on incident, all checked in few passes, and its hourly trigger.
-- Reads: incident, event_source, exhibition, incident_type.
-- Twice is safe: it runs once in the transaction that dropped them.
alter table incident
    add constraint incident_pkey primary key (incident_id),
    add constraint incident_source_id_position_key unique (source_id, position),
    add constraint incident_source_id_fkey foreign key (source_id) references event_source,
    add constraint incident_exhibition_id_fkey foreign key (exhibition_id) references exhibition,
    add constraint incident_incident_type_id_fkey foreign key (incident_type_id) references incident_type,
    enable trigger incident_hour_insert
