-- Fills: nothing; deletes from silver.group_owners whom no group's list names any more.
-- Reads: staging_member.
-- Twice is safe: the second time finds none.
delete from silver.group_owners t
where not exists (
    select
    from staging_member s
    where s.role = 'owner'
      and (s.group_id, s.member_type, s.member_key, s.source_system)
          = (t.group_id, t.member_type, t.member_key, t.source_system)
)
