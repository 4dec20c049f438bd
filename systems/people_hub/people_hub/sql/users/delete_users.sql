-- Fills: nothing; deletes people from silver.users whom no record of any source names any more, living or gone.
-- Reads: dirty_key, staging_record.
-- Twice is safe: the second time finds none.
delete from silver.users t
using dirty_key d
where t.uniqname = d.record_key
  and not exists (select from staging_record s where s.record_key = d.record_key)
