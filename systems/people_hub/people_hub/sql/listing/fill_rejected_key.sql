-- Fills: rejected_key with the keys of rejected records.
-- Reads: the given keys.
-- Twice is safe: a key stands there once.
insert into rejected_key (external_id)
select distinct unnest(%(external_ids)s::text[])
on conflict (external_id) do nothing
