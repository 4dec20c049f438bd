-- Fills: nothing; puts the constraints of schema.sql back on review, all checked in few passes, and its hourly trigger.
-- Reads: review, event_source, exhibition, rating_desc.
-- Twice is safe: it runs once in the transaction that dropped them.
alter table review
    add constraint review_pkey primary key (review_id),
    add constraint review_source_id_position_key unique (source_id, position),
    add constraint review_source_id_fkey foreign key (source_id) references event_source,
    add constraint review_exhibition_id_fkey foreign key (exhibition_id) references exhibition,
    add constraint review_rating_id_fkey foreign key (rating_id) references rating_desc,
    enable trigger review_hour_insert
