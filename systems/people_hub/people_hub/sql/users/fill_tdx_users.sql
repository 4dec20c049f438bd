-- Fills: silver.tdx_users with what TeamDynamix says last of each stale person; of its detail what the listing lacks.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the versions of its heads.
merge into silver.tdx_users t
using (
    select s.external_id,
           s.external_id,
           coalesce(
               silver.uniqname_of(e.alternate_id),
               silver.uniqname_of(e.login)
           ),
           silver.key_text(silver.text_in(x."ExternalID", w.raw_data, 'ExternalID')),
           silver.text_in(x."FirstName", w.raw_data, 'FirstName'),
           silver.text_in(x."LastName", w.raw_data, 'LastName'),
           silver.text_in(x."FullName", w.raw_data, 'FullName'),
           case when silver.is_email(e.email) then lower(e.email) end,
           case when not silver.is_email(e.email) then e.email end,
           silver.text_in(x."WorkPhone", w.raw_data, 'WorkPhone'),
           silver.text_in(x."MobilePhone", w.raw_data, 'MobilePhone'),
           silver.text_in(x."WorkAddress", w.raw_data, 'WorkAddress'),
           silver.text_in(x."WorkCity", w.raw_data, 'WorkCity'),
           silver.text_in(x."WorkState", w.raw_data, 'WorkState'),
           silver.text_in(x."WorkZip", w.raw_data, 'WorkZip'),
           silver.text_in(x."WorkCountry", w.raw_data, 'WorkCountry'),
           silver.text_in(x."Title", w.raw_data, 'Title'),
           nullif(silver.number_at(w.raw_data, 'DefaultAccountID'), 0),
           silver.text_in(x."ReportsToUID", w.raw_data, 'ReportsToUID'),
           silver.truth_at(w.raw_data, 'IsActive'),
           silver.truth_at(w.raw_data, 'IsEmployee'),
           silver.text_in(x."BEID", w.raw_data, 'BEID'),
           silver.text_in(x."SecurityRoleName", w.raw_data, 'SecurityRoleName'),
           case when jsonb_typeof(w.raw_data -> 'GroupIDs') = 'array' then array(
               select distinct one::bigint
               from jsonb_array_elements_text(w.raw_data -> 'GroupIDs') one
               where one ~ '^[0-9]{1,15}$'
               order by 1
           ) else '{}' end,
           s.raw_id,
           s.detail_raw_id,
           s.is_deleted,
           %(run_id)s::uuid
    from staging_stale_head s
    left join bronze.raw_entities r on r.raw_id = s.content_raw_id
    cross join lateral (
        select (select b.raw_data from bronze.raw_entities b where b.raw_id = s.detail_content_raw_id) as raw_data
        offset 0
    ) d
    cross join lateral (  -- offset 0: computed once, not for every column
        select case when d.raw_data is null then r.raw_data else d.raw_data || coalesce(r.raw_data, '{}') end as raw_data
        offset 0
    ) w
    left join lateral jsonb_to_record(w.raw_data) as x (
        "AlternateID" text, "UserName" text, "ExternalID" text, "FirstName" text, "LastName" text, "FullName" text,
        "WorkPhone" text, "MobilePhone" text, "WorkAddress" text, "WorkCity" text, "WorkState" text, "WorkZip" text,
        "WorkCountry" text, "Title" text, "ReportsToUID" text, "BEID" text, "SecurityRoleName" text, "PrimaryEmail" text
    ) on true
    cross join lateral (
        select silver.text_in(x."PrimaryEmail", w.raw_data, 'PrimaryEmail') as email,
               silver.text_in(x."AlternateID", w.raw_data, 'AlternateID') as alternate_id,
               split_part(silver.text_in(x."UserName", w.raw_data, 'UserName'), '@', 1) as login
        offset 0
    ) e
    where s.stream = 'tdx/user'
) s (
        external_id, tdx_user_uid, uniqname, external_number, first_name, last_name, full_name, primary_email,
        malformed_email, work_phone, mobile_phone, work_address, work_city, work_state, work_postal, work_country, title,
        default_account_id, reports_to_uid, is_active, is_employee, beid, security_role_name, group_ids, raw_id,
        detail_raw_id, is_deleted, ingestion_run_id
) on s.external_id = t.external_id
when matched then update set
    tdx_user_uid = s.tdx_user_uid,
    uniqname = s.uniqname,
    external_number = s.external_number,
    first_name = s.first_name,
    last_name = s.last_name,
    full_name = s.full_name,
    primary_email = s.primary_email,
    malformed_email = s.malformed_email,
    work_phone = s.work_phone,
    mobile_phone = s.mobile_phone,
    work_address = s.work_address,
    work_city = s.work_city,
    work_state = s.work_state,
    work_postal = s.work_postal,
    work_country = s.work_country,
    title = s.title,
    default_account_id = s.default_account_id,
    reports_to_uid = s.reports_to_uid,
    is_active = s.is_active,
    is_employee = s.is_employee,
    beid = s.beid,
    security_role_name = s.security_role_name,
    group_ids = s.group_ids,
    raw_id = s.raw_id,
    detail_raw_id = s.detail_raw_id,
    is_deleted = s.is_deleted,
    updated_at = now(),
    ingestion_run_id = s.ingestion_run_id
when not matched then insert (
        external_id, tdx_user_uid, uniqname, external_number, first_name, last_name, full_name, primary_email,
        malformed_email, work_phone, mobile_phone, work_address, work_city, work_state, work_postal, work_country, title,
        default_account_id, reports_to_uid, is_active, is_employee, beid, security_role_name, group_ids, raw_id,
        detail_raw_id, is_deleted, ingestion_run_id
) values (
        s.external_id, s.tdx_user_uid, s.uniqname, s.external_number, s.first_name, s.last_name, s.full_name,
        s.primary_email, s.malformed_email, s.work_phone, s.mobile_phone, s.work_address, s.work_city, s.work_state,
        s.work_postal, s.work_country, s.title, s.default_account_id, s.reports_to_uid, s.is_active, s.is_employee,
        s.beid, s.security_role_name, s.group_ids, s.raw_id, s.detail_raw_id, s.is_deleted, s.ingestion_run_id
)
