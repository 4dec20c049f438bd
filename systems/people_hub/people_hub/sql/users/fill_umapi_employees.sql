-- Fills: silver.umapi_employees with what the API gateway says last of each stale appointment.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
merge into silver.umapi_employees t
using (
    select s.external_id,
           silver.key_text(coalesce(silver.text_in(x."EmplId", r.raw_data, 'EmplId'), split_part(s.external_id, ':', 1))),
           case when split_part(s.external_id, ':', -1) ~ '^[0-9]{1,15}$' then split_part(s.external_id, ':', -1)::bigint end,
           silver.uniqname_of(o.uniqname),
           silver.uniqname_of(o.uniqname),
           silver.text_in(x."FirstName", r.raw_data, 'FirstName'),
           silver.text_in(x."LastName", r.raw_data, 'LastName'),
           silver.text_in(x."Name", r.raw_data, 'Name'),
           silver.key_text(silver.text_in(x."DepartmentId", r.raw_data, 'DepartmentId')),
           silver.key_text(silver.text_in(x."SupervisorId", r.raw_data, 'SupervisorId')),
           silver.text_in(x."Jobcode", r.raw_data, 'Jobcode'),
           silver.text_in(x."DepartmentJobTitle", r.raw_data, 'DepartmentJobTitle'),
           silver.text_in(x."UniversityJobTitle", r.raw_data, 'UniversityJobTitle'),
           silver.text_in(x."Work_Phone", r.raw_data, 'Work_Phone'),
           nullif(concat_ws(', ', silver.text_in(x."Work_Address1", r.raw_data, 'Work_Address1'), silver.text_in(x."Work_Address2", r.raw_data, 'Work_Address2'),
                            silver.text_in(x."Work_Address3", r.raw_data, 'Work_Address3')), ''),
           silver.text_in(x."Work_City", r.raw_data, 'Work_City'),
           silver.text_in(x."Work_State", r.raw_data, 'Work_State'),
           silver.text_in(x."Work_Postal", r.raw_data, 'Work_Postal'),
           silver.text_in(x."Work_Country", r.raw_data, 'Work_Country'),
           s.raw_id,
           s.is_deleted,
           %(run_id)s::uuid
    from staging_stale_head s
    left join bronze.raw_entities r on r.raw_id = s.content_raw_id
    left join lateral jsonb_to_record(r.raw_data) as x (
        "EmplId" text, "FirstName" text, "LastName" text, "Name" text, "DepartmentId" text, "SupervisorId" text, "Jobcode" text,
        "DepartmentJobTitle" text, "UniversityJobTitle" text, "Work_Phone" text, 
        "Work_Address1" text, "Work_Address2" text, "Work_Address3" text, "Work_City" text, "Work_State" text,
        "Work_Postal" text, "Work_Country" text, "UniqName" text
    ) on true
    cross join lateral (select silver.text_in(x."UniqName", r.raw_data, 'UniqName') as uniqname offset 0) o  -- offset 0: computed once
    where s.stream = 'umich_api/user'
) s (
        external_id, empl_id, empl_rcd, uniqname, own_uniqname, first_name, last_name, full_name, department_id,
        supervisor_id, jobcode, department_job_title, university_job_title, work_phone, work_address, work_city,
        work_state, work_postal, work_country, raw_id, is_deleted, ingestion_run_id
) on s.external_id = t.external_id
when matched then update set
    empl_id = s.empl_id,
    empl_rcd = s.empl_rcd,
    uniqname = s.uniqname,
    own_uniqname = s.own_uniqname,
    first_name = s.first_name,
    last_name = s.last_name,
    full_name = s.full_name,
    department_id = s.department_id,
    supervisor_id = s.supervisor_id,
    jobcode = s.jobcode,
    department_job_title = s.department_job_title,
    university_job_title = s.university_job_title,
    work_phone = s.work_phone,
    work_address = s.work_address,
    work_city = s.work_city,
    work_state = s.work_state,
    work_postal = s.work_postal,
    work_country = s.work_country,
    raw_id = s.raw_id,
    is_deleted = s.is_deleted,
    updated_at = now(),
    ingestion_run_id = s.ingestion_run_id
when not matched then insert (
        external_id, empl_id, empl_rcd, uniqname, own_uniqname, first_name, last_name, full_name, department_id,
        supervisor_id, jobcode, department_job_title, university_job_title, work_phone, work_address, work_city,
        work_state, work_postal, work_country, raw_id, is_deleted, ingestion_run_id
) values (
        s.external_id, s.empl_id, s.empl_rcd, s.uniqname, s.own_uniqname, s.first_name, s.last_name, s.full_name,
        s.department_id, s.supervisor_id, s.jobcode, s.department_job_title, s.university_job_title, s.work_phone,
        s.work_address, s.work_city, s.work_state, s.work_postal, s.work_country, s.raw_id, s.is_deleted,
        s.ingestion_run_id
)
