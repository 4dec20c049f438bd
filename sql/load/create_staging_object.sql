-- Fills: nothing; creates the TEMP table of the objects of this run and of the sources whose rejects are judged again.
-- Reads: nothing.
-- Twice is safe: it is dropped with the transaction.
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
) on commit drop
