-- Fills: bronze.detail_fetches: for which version of the listed record its detail was fetched just now.
-- Reads: detail_due, the given keys.
-- Twice is safe: it sets the same again, but for the time.
insert into bronze.detail_fetches as f (source_system, entity_type, external_id, listed_raw_id, fetched_at)
select %(source_system)s, %(entity_type)s, d.external_id, d.listed_raw_id, clock_timestamp()
from detail_due d
where d.external_id = any (%(external_ids)s)
on conflict (source_system, entity_type, external_id) do update
    set listed_raw_id = excluded.listed_raw_id,
        fetched_at = excluded.fetched_at
