-- Reads: staging_member.
select role || 's: ' || member_type as what, count(*)
from staging_member
group by 1
order by 1
