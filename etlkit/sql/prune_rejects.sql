-- Fills: nothing; deletes rejected records that were resolved before the given age and, when asked for, open messages not met since then.
-- Reads: meta.rejected_records; returns how many of each went.
-- Twice is safe: the second time finds nothing. Open records of files stay: a load counts them among the rows of their file.
with gone as (
    delete from meta.rejected_records
    where resolved_at < now() - %(older_than)s::interval
       or (%(messages)s
           and resolved_at is null
           and source like 'kafka://%%'
           and last_seen < now() - %(older_than)s::interval)
    returning resolved_at
)
select count(*) filter (where resolved_at is not null), count(*) filter (where resolved_at is null)
from gone
