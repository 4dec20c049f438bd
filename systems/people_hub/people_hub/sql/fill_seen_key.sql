-- Fills: seen_key with the keys of rejected records, so that they do not count as vanished.
-- Reads: the given keys.
-- Twice is safe: a key stands there once.
insert into seen_key (external_id)
select distinct unnest(%(external_ids)s::text[])
on conflict (external_id) do nothing
