-- Reads: silver.v_quality_flags.
-- What costs most in all comes first.
select entity,
       flag,
       silver.flag_cost(flag) as cost,
       count(*) as records,
       silver.flag_cost(flag) * count(*) as cost_in_all
from silver.v_quality_flags
group by entity, flag
order by silver.flag_cost(flag) * count(*) desc, count(*) desc, entity, flag
