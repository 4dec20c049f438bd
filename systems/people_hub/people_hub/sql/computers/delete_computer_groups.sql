-- Fills: nothing; deletes from silver.computer_groups what no group's list says any more.
-- Reads: staging_computer_group.
-- Twice is safe: the second time finds none.
delete from silver.computer_groups t
where not exists (
    select
    from staging_computer_group s
    where s.computer_uid = t.computer_uid
      and s.group_dn = t.group_dn
)
