-- Reads: silver.v_quality.
-- The worst entity comes first.
select entity,
       count(*) as records,
       count(*) filter (where flags > 0) as flagged,
       count(*) filter (where source_system = '') as without_live_source,
       round(avg(score), 4) as average_score,
       min(score) as worst_score
from silver.v_quality
group by entity
order by avg(score), entity
