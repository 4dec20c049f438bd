-- Fills: staging_object with the readable kiosk objects of this run; staging_text is made for what the database may reject.
-- Reads: the client's stream in COPY's text format.
-- Twice is safe: both TEMP tables go with the transaction.
create temporary table staging_text (
    source_id integer not null,
    row       bigint not null,
    raw       bytea not null,
    primary key (source_id, row)
) on commit drop;

create temporary table staging_object (
    object          text primary key,
    bucket          text not null,
    key             text not null,
    source          text not null,
    content_hash    text not null,
    columns         text[] not null,
    rows            bigint not null,
    action          text not null default 'new' check (action in ('new', 'changed', 'unchanged')),
    previous_stored bigint,
    source_id       integer
) on commit drop;

copy staging_object (object, bucket, key, source, content_hash, columns, rows) from stdin
