-- Fills: silver.tdx_departments with what TeamDynamix says last of each stale department; of its detail what the listing lacks.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the versions of its heads.
insert into silver.tdx_departments as t (
    external_id, tdx_id, dept_id, department_name, dept_notes, is_active, parent_id, manager_uid, tdx_created_date,
    tdx_modified_date, location_info, raw_id, detail_raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       case when s.external_id ~ '^[0-9]{1,15}$' then s.external_id::bigint end,
       coalesce(
           silver.key_text(silver.text_at(w.whole, 'Code')),
           'TDX_' || case when s.external_id ~ '^[0-9]{1,15}$' then s.external_id::bigint end
       ),
       silver.text_at(w.whole, 'Name'),
       silver.text_at(w.whole, 'Notes'),
       silver.truth_at(w.whole, 'IsActive'),
       nullif(silver.number_at(w.whole, 'ParentID'), 0),
       silver.text_at(w.whole, 'ManagerUID'),
       silver.moment_of(silver.text_at(w.whole, 'CreatedDate')),
       silver.moment_of(silver.text_at(w.whole, 'ModifiedDate')),
       nullif(
           jsonb_strip_nulls(jsonb_build_object(
               'address', silver.text_at(w.whole, 'Address1'),
               'address2', silver.text_at(w.whole, 'Address2'),
               'city', silver.text_at(w.whole, 'City'),
               'state', silver.text_at(w.whole, 'StateAbbr'),
               'postal', silver.text_at(w.whole, 'PostalCode'),
               'country', silver.text_at(w.whole, 'Country'),
               'phone', silver.text_at(w.whole, 'Phone')
           )),
           '{}'
       ),
       s.raw_id,
       s.detail_raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
left join bronze.raw_entities d on d.raw_id = s.detail_content_raw_id
cross join lateral (select coalesce(d.raw_data, '{}') || coalesce(r.raw_data, '{}') as whole) w
where s.stream = 'tdx/department'
on conflict (external_id) do update set
    tdx_id = excluded.tdx_id,
    dept_id = excluded.dept_id,
    department_name = excluded.department_name,
    dept_notes = excluded.dept_notes,
    is_active = excluded.is_active,
    parent_id = excluded.parent_id,
    manager_uid = excluded.manager_uid,
    tdx_created_date = excluded.tdx_created_date,
    tdx_modified_date = excluded.tdx_modified_date,
    location_info = excluded.location_info,
    raw_id = excluded.raw_id,
    detail_raw_id = excluded.detail_raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
