-- Reads: exhibition, review, incident: what live messages brought since a moment, by exhibition.
with arrived as (
    select r.exhibition_id, r.rating_id
    from review r
    join event_source s using (source_id)
    where s.kind = 'kafka'
      and s.loaded_at >= %(began)s
    union all
    select i.exhibition_id, null
    from incident i
    join event_source s using (source_id)
    where s.kind = 'kafka'
      and s.loaded_at >= %(began)s
)
select e.exhibition_name,
       count(a.rating_id) as reviews,
       round(avg(a.rating_id), 2) as average,
       count(a.exhibition_id) - count(a.rating_id) as calls
from exhibition e
left join arrived a using (exhibition_id)
group by e.exhibition_id, e.exhibition_name
order by reviews desc, e.exhibition_name
