-- Reads: nothing.
select flag, silver.flag_cost(flag) as cost
from unnest(%(flags)s::text[]) flag
order by silver.flag_cost(flag) desc, flag
