-- Reads: exhibition_info, floor_assignment, floor.
select i.exhibition_id,
       case when count(*) over (partition by i.exhibition_name) > 1
            then concat(i.exhibition_name, ' (', i.exhibition_code, ')')
            else i.exhibition_name
       end as exhibition,
       coalesce(i.department_name, 'no department') as department,
       coalesce(
           (select array_agg(f.floor_name order by f.floor_name)
            from floor_assignment a
            join floor f using (floor_id)
            where a.exhibition_id = i.exhibition_id),
           array['no floor']
       ) as floors,
       i.exhibition_code as code,
       i.description
from exhibition_info i
order by exhibition, i.exhibition_id
