-- Fills: silver.group_owners with whom the groups' lists name and who is not there yet.
-- Reads: staging_member.
-- Twice is safe: keyed by group, member and source; an equal row is not touched.
insert into silver.group_owners as t (group_id, member_type, member_key, source_system, ingestion_run_id)
select s.group_id, s.member_type, s.member_key, s.source_system, %(run_id)s::uuid
from staging_member s
left join silver.group_owners k using (group_id, member_type, member_key, source_system)
where s.role = 'owner'
  and (k.group_id is null)
on conflict (group_id, member_type, member_key, source_system) do nothing
