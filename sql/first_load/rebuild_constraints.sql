-- Fills: nothing; puts the constraints, hourly triggers and indexes of schema.sql back after a bulk load, all checked in few passes.
-- Reads: review, incident and the tables that they refer to.
-- Twice is safe: a constraint that is there already is refused, and the transaction with it; an index stays.
alter table review
    add constraint review_pkey primary key (review_id),
    add constraint review_source_id_position_key unique (source_id, position),
    add constraint review_source_id_fkey foreign key (source_id) references event_source,
    add constraint review_exhibition_id_fkey foreign key (exhibition_id) references exhibition,
    add constraint review_rating_id_fkey foreign key (rating_id) references rating_desc,
    enable trigger review_hour_insert;

alter table incident
    add constraint incident_pkey primary key (incident_id),
    add constraint incident_source_id_position_key unique (source_id, position),
    add constraint incident_source_id_fkey foreign key (source_id) references event_source,
    add constraint incident_exhibition_id_fkey foreign key (exhibition_id) references exhibition,
    add constraint incident_incident_type_id_fkey foreign key (incident_type_id) references incident_type,
    enable trigger incident_hour_insert;

create index if not exists review_at on review using brin (at) with (pages_per_range = 32, autosummarize = on);

create index if not exists incident_at on incident (at)
