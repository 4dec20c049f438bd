-- Fills: nothing; takes the constraints and the hourly trigger off the empty review table, for rebuild_review_constraints.sql to put back.
-- Reads: nothing.
-- Twice is safe: what is not there is not dropped; a failure rolls the whole transaction back.
alter table review
    drop constraint if exists review_source_id_fkey,
    drop constraint if exists review_exhibition_id_fkey,
    drop constraint if exists review_rating_id_fkey,
    drop constraint if exists review_source_id_position_key,
    drop constraint if exists review_pkey,
    disable trigger review_hour_insert
