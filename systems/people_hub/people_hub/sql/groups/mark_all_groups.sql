-- Fills: dirty_key with every group that is stored or named by a directory; they are matched anew as a whole.
-- Reads: silver.groups, staging_group.
-- Twice is safe: a key is marked once.
insert into dirty_key (record_key)
select group_id from silver.groups
union
select group_id from staging_group
on conflict (record_key) do nothing
