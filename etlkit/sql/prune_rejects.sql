-- Fills: nothing; deletes rejected records that were resolved before the given age and, when asked for, open ones not met since then.
-- Reads: meta.rejected_records; returns how many of each went.
-- Twice is safe: the second time finds nothing.
with gone as (
    delete from meta.rejected_records
    where resolved_at < now() - %(older_than)s::interval
       or (%(open)s and resolved_at is null and last_seen < now() - %(older_than)s::interval)
    returning resolved_at
)
select count(*) filter (where resolved_at is not null), count(*) filter (where resolved_at is null)
from gone
