-- Fills: silver.departments with the staged departments that are new or differ from what is stored.
-- Reads: staging_record.
-- Twice is safe: keyed by code; an equal department is not touched.
insert into silver.departments as t (
    dept_id, department_name, is_active, parent_dept_id, college_name, campus_name, vp_area_name, dept_group,
    dept_group_campus, dept_group_vp_area, hierarchical_path, tdx_id, tdx_manager_uid, location_info, description,
    tdx_created_date, tdx_modified_date, source_system, data_quality_score, quality_flags, entity_hash, ingestion_run_id
)
select dept_id, department_name, is_active, parent_dept_id, college_name, campus_name, vp_area_name, dept_group,
       dept_group_campus, dept_group_vp_area, hierarchical_path, tdx_id, tdx_manager_uid, location_info, description,
       tdx_created_date, tdx_modified_date, source_system, data_quality_score, quality_flags, entity_hash, %(run_id)s::uuid
from staging_record
where known_hash is distinct from entity_hash
on conflict (dept_id) do update set
    department_name = excluded.department_name,
    is_active = excluded.is_active,
    parent_dept_id = excluded.parent_dept_id,
    college_name = excluded.college_name,
    campus_name = excluded.campus_name,
    vp_area_name = excluded.vp_area_name,
    dept_group = excluded.dept_group,
    dept_group_campus = excluded.dept_group_campus,
    dept_group_vp_area = excluded.dept_group_vp_area,
    hierarchical_path = excluded.hierarchical_path,
    tdx_id = excluded.tdx_id,
    tdx_manager_uid = excluded.tdx_manager_uid,
    location_info = excluded.location_info,
    description = excluded.description,
    tdx_created_date = excluded.tdx_created_date,
    tdx_modified_date = excluded.tdx_modified_date,
    source_system = excluded.source_system,
    data_quality_score = excluded.data_quality_score,
    quality_flags = excluded.quality_flags,
    entity_hash = excluded.entity_hash,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
