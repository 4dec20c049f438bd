-- Fills: meta.ingestion_runs with a row that says "running", in a transaction of its own.
-- Reads: nothing.
-- Twice is safe: a run id is made once; a second start under the same id is an error by the primary key.
insert into meta.ingestion_runs (run_id, source_system, entity_type, metadata)
values (%(run_id)s, %(source_system)s, %(entity_type)s, %(metadata)s)
