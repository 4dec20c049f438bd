-- Fills: silver.umapi_departments with what the API gateway says last of each stale department.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows its head's version.
insert into silver.umapi_departments as t (
    external_id, dept_id, department_name, dept_group, dept_group_campus, dept_group_vp_area, college_name, campus_name,
    vp_area_name, raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       silver.key_text(silver.cleaned(s.external_id)),
       silver.text_at(r.raw_data, 'DeptDescription'),
       silver.text_at(r.raw_data, 'DeptGroup'),
       silver.text_at(r.raw_data, 'DeptGroupCampus'),
       silver.text_at(r.raw_data, 'DeptGroupVPArea'),
       silver.text_at(r.raw_data, 'DeptGroupDescription'),
       silver.text_at(r.raw_data, 'DeptGroupCampusDescr'),
       silver.text_at(r.raw_data, 'DeptGroupVPAreaDescr'),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
where s.stream = 'umich_api/department'
on conflict (external_id) do update set
    dept_id = excluded.dept_id,
    department_name = excluded.department_name,
    dept_group = excluded.dept_group,
    dept_group_campus = excluded.dept_group_campus,
    dept_group_vp_area = excluded.dept_group_vp_area,
    college_name = excluded.college_name,
    campus_name = excluded.campus_name,
    vp_area_name = excluded.vp_area_name,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
