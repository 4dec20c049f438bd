-- Fills: nothing.
-- Reads: which of some roles there are.
-- Twice is safe: it only reads.
select rolname
from pg_roles
where rolname = any(%(names)s)
