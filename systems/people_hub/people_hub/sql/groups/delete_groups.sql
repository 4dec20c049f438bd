-- Fills: nothing; deletes groups from silver.groups that no record of any source gives any more, living or gone.
-- Reads: dirty_key, staging_record.
-- Twice is safe: the second time finds none.
delete from silver.groups t
using dirty_key d
where t.group_id = d.record_key
  and not exists (select from staging_record s where s.record_key = d.record_key)
