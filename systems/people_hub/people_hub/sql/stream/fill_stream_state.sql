-- Fills: meta.stream_state in the transaction that completes the run.
-- Reads: nothing.
-- Twice is safe: one row a stream.
insert into meta.stream_state as s (
    source_system, entity_type, watermark, last_ok_run_id, last_full_run_id, last_full_at, updated_at
)
select %(source_system)s,
       %(entity_type)s,
       %(watermark)s::jsonb,
       %(run_id)s::uuid,
       case when %(is_full)s then %(run_id)s::uuid end,
       case when %(is_full)s then clock_timestamp() end,
       clock_timestamp()
on conflict (source_system, entity_type) do update
    set watermark = coalesce(excluded.watermark, s.watermark),
        last_ok_run_id = excluded.last_ok_run_id,
        last_full_run_id = coalesce(excluded.last_full_run_id, s.last_full_run_id),
        last_full_at = coalesce(excluded.last_full_at, s.last_full_at),
        updated_at = excluded.updated_at
