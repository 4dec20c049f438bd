-- Reads: silver.departments, its source tables: a row a field with what each source says, who is asked first first.
-- The records of a source stand in the order in which a transform chooses one.
with living as (
    select not bool_and(is_deleted) as is_living
    from (
        select is_deleted from silver.umapi_departments where dept_id = %(key)s
        union all
        select is_deleted from silver.tdx_departments where dept_id = %(key)s
    ) every
),
umapi as (
    select x.*
    from silver.umapi_departments x, living
    where x.dept_id = %(key)s and not (x.is_deleted and living.is_living)
    order by x.external_id
    limit 1
),
tdx as (
    select x.*
    from silver.tdx_departments x, living
    where x.dept_id = %(key)s and not (x.is_deleted and living.is_living)
    order by x.is_active is not true, length(x.external_id), x.external_id
    limit 1
)
select f.field, to_jsonb(s) ->> f.field as value, f.said, s.data_quality_score, s.quality_flags
from silver.departments s
left join umapi u on true
left join tdx t on true
cross join lateral (
    values
        (1, 'department_name', array['umich_api', u.department_name::text, 'tdx', t.department_name::text]),
        (2, 'campus_name', array['umich_api', u.campus_name::text]),
        (3, 'college_name', array['umich_api', u.college_name::text]),
        (4, 'vp_area_name', array['umich_api', u.vp_area_name::text]),
        (5, 'dept_group', array['umich_api', u.dept_group::text]),
        (6, 'is_active', array['tdx', t.is_active::text]),
        (7, 'tdx_id', array['tdx', t.tdx_id::text]),
        (8, 'parent_dept_id', array['tdx', 'account ' || t.parent_id::text]),
        (9, 'tdx_manager_uid', array['tdx', t.manager_uid::text]),
        (10, 'description', array['tdx', t.dept_notes::text]),
        (11, 'location_info', array['tdx', t.location_info::text]),
        (12, 'dept_group_campus', array['umich_api', u.dept_group_campus]),
        (13, 'dept_group_vp_area', array['umich_api', u.dept_group_vp_area]),
        (14, 'hierarchical_path', array['umich_api', s.hierarchical_path]),
        (15, 'tdx_created_date', array['tdx', to_jsonb(t) ->> 'tdx_created_date']),
        (16, 'tdx_modified_date', array['tdx', to_jsonb(t) ->> 'tdx_modified_date'])
) f (place, field, said)
where s.dept_id = %(key)s
order by f.place
