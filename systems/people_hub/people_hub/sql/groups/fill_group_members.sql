-- Fills: silver.group_members with whom the groups' lists name and who is not there yet, or is there otherwise.
-- Reads: staging_member.
-- Twice is safe: keyed by group, member and source; an equal row is not touched.
insert into silver.group_members as t (group_id, member_type, member_key, source_system, is_direct, ingestion_run_id)
select s.group_id, s.member_type, s.member_key, s.source_system, s.is_direct, %(run_id)s::uuid
from staging_member s
left join silver.group_members k using (group_id, member_type, member_key, source_system)
where s.role = 'member'
  and (k.group_id is null or k.is_direct is distinct from s.is_direct)
on conflict (group_id, member_type, member_key, source_system) do update set is_direct = excluded.is_direct, ingestion_run_id = excluded.ingestion_run_id
