-- Fills: nothing.
-- Reads: staging_member.
-- Twice is safe: it only reads.
select role || 's: ' || member_type as what, count(*)
from staging_member
group by 1
order by 1
