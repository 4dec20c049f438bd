-- Fills: nothing; creates the TEMP table for the rows of a month's file.
-- Reads: nothing.
-- Twice is safe: it goes with the transaction.
create temporary table staging_archive (
    at            timestamp not null,
    microsecond   integer not null,
    exhibition    text not null,
    exhibition_id integer not null,
    rating_id     smallint not null,
    source        text not null,
    position      bigint not null,
    source_id     integer not null,
    review_id     bigint not null
) on commit drop
