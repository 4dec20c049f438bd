-- Fills: the TEMP table staging_record with every department as its sources say now; they are few, so all of them each time.
-- Reads: silver.umapi_departments, silver.tdx_departments, silver.departments (what is stored).
-- Twice is safe: one a transaction; the same sources give the same rows.
create temporary table staging_record on commit drop as
with department as (
    select dept_id, not bool_and(is_deleted) as is_living
    from (
        select dept_id, is_deleted from silver.umapi_departments
        union all
        select dept_id, is_deleted from silver.tdx_departments
    ) every
    where dept_id is not null
    group by dept_id
),
umich_api as (
    select distinct on (x.dept_id) x.*
    from department p
    join silver.umapi_departments x using (dept_id)
    where not (x.is_deleted and p.is_living)
    order by x.dept_id, x.external_id
),
tdx as (
    select distinct on (x.dept_id) x.*, count(*) over (partition by x.dept_id) > 1 as is_duplicate
    from department p
    join silver.tdx_departments x using (dept_id)
    where not (x.is_deleted and p.is_living)
    order by x.dept_id, x.is_active is not true, length(x.external_id), x.external_id
),
account as (
    select distinct on (tdx_id) tdx_id, dept_id
    from silver.tdx_departments
    where tdx_id is not null
    order by tdx_id, is_deleted, external_id
),
merged as (
    select p.dept_id,
           coalesce(u.department_name, t.department_name) as department_name,
           p.is_living and case
               when t.dept_id is not null then coalesce(t.is_active, true)  -- a listing shows active ones
               else not exists (select from silver.tdx_departments gone where gone.dept_id = p.dept_id)
           end as is_active,
           case when a.dept_id <> p.dept_id then a.dept_id end as parent_dept_id,
           u.college_name,
           u.campus_name,
           u.vp_area_name,
           u.dept_group,
           u.dept_group_campus,
           u.dept_group_vp_area,
           nullif(
               concat_ws(
                   ' > ', u.campus_name, u.vp_area_name, u.college_name, coalesce(u.department_name, t.department_name)
               ),
               ''
           ) as hierarchical_path,
           t.tdx_id,
           t.manager_uid as tdx_manager_uid,
           t.location_info,
           t.dept_notes as description,
           t.tdx_created_date,
           t.tdx_modified_date,
           case when p.is_living then concat_ws(
               '+',
               case when t.dept_id is not null then 'tdx' end,
               case when u.dept_id is not null then 'umich_api' end
           ) else '' end as source_system,
           array_remove(array[
               case when p.is_living and t.is_duplicate then 'duplicate_tdx_record' end,
               case when t.parent_id is not null and (a.dept_id is null or a.dept_id = p.dept_id)
                    then 'invalid_parent_reference' end,
               case when u.campus_name is null then 'missing_campus' end,
               case when u.college_name is null then 'missing_college' end,
               case when coalesce(u.department_name, t.department_name) is null then 'missing_name' end,
               case when t.dept_id is null or not p.is_living then 'missing_tdx_source' end,
               case when u.dept_id is null or not p.is_living then 'missing_umich_api_source' end,
               case when u.vp_area_name is null then 'missing_vp_area' end,
               case when p.is_living and u.department_name <> t.department_name then 'name_mismatch' end,
               case when not p.is_living then 'no_live_source' end
           ], null) as flags
    from department p
    left join umich_api u using (dept_id)
    left join tdx t using (dept_id)
    left join account a on a.tdx_id = t.parent_id
),
scored as (
    select m.*, encode(sha256(convert_to(m::text || silver.quality_score(m.flags), 'UTF8')), 'hex')::char(64) as entity_hash
    from merged m
)
select s.dept_id as record_key,
       known.entity_hash as known_hash,
       null::jsonb as malformed,
       silver.quality_score(s.flags) as data_quality_score,
       to_jsonb(s.flags) as quality_flags,
       s.*
from scored s
left join silver.departments known using (dept_id)
