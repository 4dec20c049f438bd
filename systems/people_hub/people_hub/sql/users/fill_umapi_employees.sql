-- Fills: silver.umapi_employees with what the API gateway says last of each stale appointment.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
insert into silver.umapi_employees as t (
    external_id, empl_id, empl_rcd, uniqname, own_uniqname, first_name, last_name, full_name, department_id,
    supervisor_id, jobcode, department_job_title, university_job_title, work_phone, work_address, work_city,
    work_state, work_postal, work_country, raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       regexp_replace(s.external_id, ':[^:]*$', ''),
       silver.number_of(to_jsonb(substring(s.external_id from '[^:]*$'))),
       silver.uniqname_of(r.raw_data ->> 'UniqName'),
       silver.uniqname_of(r.raw_data ->> 'UniqName'),
       silver.text_of(r.raw_data -> 'FirstName'),
       silver.text_of(r.raw_data -> 'LastName'),
       silver.text_of(r.raw_data -> 'Name'),
       silver.text_of(r.raw_data -> 'DepartmentId'),
       silver.text_of(r.raw_data -> 'SupervisorId'),
       silver.text_of(r.raw_data -> 'Jobcode'),
       silver.text_of(r.raw_data -> 'DepartmentJobTitle'),
       silver.text_of(r.raw_data -> 'UniversityJobTitle'),
       silver.text_of(r.raw_data -> 'Work_Phone') || coalesce(' x' || silver.text_of(r.raw_data -> 'Work_Phone_Extension'), ''),
       nullif(concat_ws(', ', silver.text_of(r.raw_data -> 'Work_Address1'), silver.text_of(r.raw_data -> 'Work_Address2'),
                        silver.text_of(r.raw_data -> 'Work_Address3')), ''),
       silver.text_of(r.raw_data -> 'Work_City'),
       silver.text_of(r.raw_data -> 'Work_State'),
       silver.text_of(r.raw_data -> 'Work_Postal'),
       silver.text_of(r.raw_data -> 'Work_Country'),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
where s.stream = 'umich_api/user'
on conflict (external_id) do update set
    empl_id = excluded.empl_id,
    empl_rcd = excluded.empl_rcd,
    uniqname = excluded.uniqname,
    own_uniqname = excluded.own_uniqname,
    first_name = excluded.first_name,
    last_name = excluded.last_name,
    full_name = excluded.full_name,
    department_id = excluded.department_id,
    supervisor_id = excluded.supervisor_id,
    jobcode = excluded.jobcode,
    department_job_title = excluded.department_job_title,
    university_job_title = excluded.university_job_title,
    work_phone = excluded.work_phone,
    work_address = excluded.work_address,
    work_city = excluded.work_city,
    work_state = excluded.work_state,
    work_postal = excluded.work_postal,
    work_country = excluded.work_country,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
