-- Fills: dirty_key with every computer that is stored or named by a source; they are matched anew as a whole.
-- Reads: silver.computers, staging_computer.
-- Twice is safe: a key is marked once.
insert into dirty_key (record_key)
select computer_uid from silver.computers
union
select computer_uid from staging_computer
on conflict (record_key) do nothing
