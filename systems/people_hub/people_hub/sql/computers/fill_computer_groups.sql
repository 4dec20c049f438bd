-- Fills: silver.computer_groups with the groups whose lists name a computer.
-- Reads: staging_computer_group.
-- Twice is safe: keyed by computer and group; an equal row is not touched.
insert into silver.computer_groups as t (computer_uid, group_dn, group_id, ingestion_run_id)
select s.computer_uid, s.group_dn, s.group_id, %(run_id)s::uuid
from staging_computer_group s
left join silver.computer_groups k using (computer_uid, group_dn)
where k.computer_uid is null
   or k.group_id is distinct from s.group_id
on conflict (computer_uid, group_dn) do update set
    group_id = excluded.group_id,
    ingestion_run_id = excluded.ingestion_run_id
