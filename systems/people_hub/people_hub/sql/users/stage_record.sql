-- Fills: the TEMP table staging_record with the marked people as their sources say now: of records that live where any does.
-- Reads: staging_person, the source tables of people, silver.departments, silver.known_accounts, silver.users (what is stored).
-- Twice is safe: one a transaction; the same sources give the same rows.
create temporary table staging_record on commit drop as
with tdx as (
    select distinct on (x.uniqname) x.*, count(*) over (partition by x.uniqname) > 1 as is_duplicate
    from staging_person p
    join silver.tdx_users x using (uniqname)
    where not (x.is_deleted and p.is_living)
    order by x.uniqname, x.is_active is not true, length(x.external_id), x.external_id
),
mcommunity as (
    select distinct on (x.uniqname) x.*, count(*) over (partition by x.uniqname) > 1 as is_duplicate
    from staging_person p
    join silver.mcommunity_users x using (uniqname)
    where not (x.is_deleted and p.is_living)
    order by x.uniqname, x.is_active is not true, length(x.external_id), x.external_id
),
ad as (
    select distinct on (x.uniqname) x.*, count(*) over (partition by x.uniqname) > 1 as is_duplicate
    from staging_person p
    join silver.ad_users x using (uniqname)
    where not (x.is_deleted and p.is_living)
    order by x.uniqname, x.is_active is not true, length(x.external_id), x.external_id
),
appointment as (
    select x.*,
           row_number() over by_rank as rank,
           count(*) over (partition by x.uniqname) as appointments
    from staging_person p
    join silver.umapi_employees x using (uniqname)
    where not (x.is_deleted and p.is_living)
    window by_rank as (partition by x.uniqname order by x.empl_rcd, x.empl_id, x.external_id)
),
several as (
    select uniqname,
           silver.once_each(array_agg(empl_id order by rank)) as empl_ids,
           silver.once_each(array_agg(department_id order by rank)) as department_ids,
           silver.once_each(array_agg(jobcode order by rank)) as jobcodes,
           silver.once_each(array_agg(supervisor_id order by rank)) as supervisor_ids
    from appointment
    where appointments > 1
    group by uniqname
),
umapi as (
    select a.*,
           coalesce(a.university_job_title, a.department_job_title) as job_title,
           coalesce(s.empl_ids, array_remove(array[a.empl_id], null)) as empl_ids,
           coalesce(s.department_ids, array_remove(array[a.department_id], null)) as department_ids,
           coalesce(s.jobcodes, array_remove(array[a.jobcode], null)) as jobcodes,
           coalesce(s.supervisor_ids, array_remove(array[a.supervisor_id], null)) as supervisor_ids
    from appointment a
    left join several s using (uniqname)
    where a.rank = 1
),
supervisor as (
    select distinct on (empl_id) empl_id, uniqname
    from (
        select e.empl_id, e.uniqname, e.is_deleted, 1 as rank, e.empl_rcd as place, true as is_active, e.external_id
        from silver.umapi_employees e
        where e.uniqname is not null and e.empl_id in (select supervisor_id from umapi)
        union all
        select t.external_number, t.uniqname, t.is_deleted, 2, length(t.external_id), t.is_active is true, t.external_id
        from silver.tdx_users t
        where t.uniqname is not null and t.external_number in (select supervisor_id from umapi)
    ) every
    order by empl_id, is_deleted, rank, is_active desc, place, external_id
),
merged as materialized (  -- computed once, though its flags are used three times
    select p.uniqname,
           t.tdx_user_uid,
           u.empl_id as umich_empl_id,
           coalesce(u.empl_ids, '{}') as umich_empl_ids,
           coalesce(m.uid_number, a.uid_number) as ldap_uid_number,
           coalesce(m.gid_number, a.gid_number) as ldap_gid_number,
           a.ad_user_guid as ad_object_guid,
           a.sam_account_name as ad_sam_account_name,
           coalesce(t.first_name, u.first_name, m.first_name, a.first_name) as first_name,
           coalesce(t.last_name, u.last_name, m.last_name, a.last_name) as last_name,
           n.full_name,
           coalesce(t.full_name, m.preferred_name) as preferred_name,
           coalesce(t.primary_email, m.primary_email, a.primary_email) as primary_email,
           coalesce(t.work_phone, u.work_phone, m.work_phone, a.work_phone) as work_phone,
           coalesce(t.mobile_phone, a.mobile) as mobile_phone,
           case when n.is_tdx_address then t.work_address else u.work_address end as work_address,
           case when n.is_tdx_address then t.work_city else u.work_city end as work_city,
           case when n.is_tdx_address then t.work_state else u.work_state end as work_state,
           case when n.is_tdx_address then t.work_postal else u.work_postal end as work_postal,
           case when n.is_tdx_address then t.work_country else u.work_country end as work_country,
           coalesce(u.department_id, k.dept_id) as department_id,
           d.department_name,
           coalesce(u.department_ids, '{}') as department_ids,
           coalesce(u.job_title, m.umich_title, t.title, a.title) as job_title,
           u.department_job_title,
           u.jobcode as primary_job_code,
           coalesce(u.jobcodes, '{}') as job_codes,
           u.supervisor_id as primary_supervisor_id,
           v.uniqname as primary_supervisor_uniqname,
           coalesce(u.supervisor_ids, '{}') as supervisor_ids,
           t.reports_to_uid,
           p.is_living and (
               coalesce(t.is_active, false) or coalesce(a.is_active, false) or u.uniqname is not null
               or coalesce(m.is_active, false)
           ) as is_active,
           p.is_living and (u.uniqname is not null or coalesce(t.is_employee, false)) as is_employee,
           not a.is_active as ad_account_disabled,
           coalesce(m.ou, '[]') as mcommunity_ou_affiliations,
           coalesce(t.group_ids, '{}') as tdx_group_ids,
           coalesce(m.home_directory, a.home_directory) as home_directory,
           coalesce(m.login_shell, a.login_shell) as login_shell,
           t.external_number as tdx_external_id,
           t.beid as tdx_beid,
           t.security_role_name as tdx_security_role_name,
           case when p.is_living then concat_ws(
               '+',
               case when a.uniqname is not null then 'active_directory' end,
               case when m.uniqname is not null then 'mcommunity_ldap' end,
               case when t.uniqname is not null then 'tdx' end,
               case when u.uniqname is not null then 'umich_api' end
           ) else '' end as source_system,
           array_remove(array[
               case when p.is_living and k.dept_id <> u.department_id then 'department_id_mismatch' end,
               case when p.is_living and a.is_duplicate then 'duplicate_ad_record' end,
               case when p.is_living and m.is_duplicate then 'duplicate_mcommunity_record' end,
               case when p.is_living and t.is_duplicate then 'duplicate_tdx_record' end,
               case when p.is_living and (
                        t.primary_email <> m.primary_email or t.primary_email <> a.primary_email
                        or m.primary_email <> a.primary_email
                    ) then 'email_mismatch' end,
               case when p.is_living and t.external_number <> all (u.empl_ids) then 'empl_id_mismatch' end,
               case when coalesce(u.department_id, k.dept_id) is not null and d.dept_id is null
                    then 'invalid_department_reference' end,
               case when u.supervisor_id is not null and v.uniqname is null then 'invalid_supervisor_reference' end,
               case when p.is_living and (
                        t.title <> u.job_title or m.umich_title <> u.job_title or a.title <> u.job_title
                        or t.title <> m.umich_title or a.title <> m.umich_title or a.title <> t.title
                    ) then 'job_title_conflict' end,
               case when p.is_living and a.malformed_email is not null then 'malformed_email_active_directory' end,
               case when p.is_living and m.malformed_email is not null then 'malformed_email_mcommunity_ldap' end,
               case when p.is_living and t.malformed_email is not null then 'malformed_email_tdx' end,
               case when a.uniqname is null or not p.is_living then 'missing_active_directory_source' end,
               case when coalesce(u.department_id, k.dept_id) is null then 'missing_department_id' end,
               case when coalesce(t.primary_email, m.primary_email, a.primary_email) is null then 'missing_email' end,
               case when coalesce(u.job_title, m.umich_title, t.title, a.title) is null then 'missing_job_title' end,
               case when m.uniqname is null or not p.is_living then 'missing_mcommunity_ldap_source' end,
               case when n.full_name is null then 'missing_name' end,
               case when t.uniqname is null or not p.is_living then 'missing_tdx_source' end,
               case when u.uniqname is null or not p.is_living then 'missing_umich_api_source' end,
               case when p.is_living and t.mobile_phone <> a.mobile then 'mobile_phone_conflict' end,
               case when p.is_living and (
                        u.first_name <> t.first_name or m.first_name <> t.first_name or a.first_name <> t.first_name
                        or m.first_name <> u.first_name or a.first_name <> u.first_name or a.first_name <> m.first_name
                        or u.last_name <> t.last_name or m.last_name <> t.last_name or a.last_name <> t.last_name
                        or m.last_name <> u.last_name or a.last_name <> u.last_name or a.last_name <> m.last_name
                    ) then 'name_mismatch' end,
               case when not p.is_living then 'no_live_source' end,
               case when coalesce(t.work_phone, u.work_phone, m.work_phone, a.work_phone, t.mobile_phone, a.mobile) is null
                    then 'no_phone_number' end,
               case when p.is_living and t.full_name <> m.preferred_name then 'preferred_name_conflict' end,
               case when p.is_living and m.uid_number <> a.uid_number then 'uid_number_conflict' end,
               case when p.is_living and (
                        t.work_phone <> u.work_phone or t.work_phone <> m.work_phone or t.work_phone <> a.work_phone
                        or u.work_phone <> m.work_phone or u.work_phone <> a.work_phone or m.work_phone <> a.work_phone
                    ) then 'work_phone_conflict' end
           ], null) as flags,
           case when p.is_living and coalesce(a.malformed_email, m.malformed_email, t.malformed_email) is not null
               then jsonb_strip_nulls(jsonb_build_object(
                   'active_directory', a.malformed_email, 'mcommunity_ldap', m.malformed_email, 'tdx', t.malformed_email
               ))
           end as malformed
    from staging_person p
    left join tdx t using (uniqname)
    left join umapi u using (uniqname)
    left join mcommunity m using (uniqname)
    left join ad a using (uniqname)
    left join silver.known_accounts k on k.tdx_id = t.default_account_id
    left join supervisor v on v.empl_id = u.supervisor_id
    left join silver.departments d on d.dept_id = coalesce(u.department_id, k.dept_id)
    cross join lateral (
        select coalesce(
                   coalesce(t.last_name, u.last_name, m.last_name, a.last_name) || ', '
                       || coalesce(t.first_name, u.first_name, m.first_name, a.first_name),
                   u.full_name,
                   a.display_name
               ) as full_name,
               -- an address is one source's as a whole
               coalesce(t.work_address, t.work_city, t.work_state, t.work_postal, t.work_country) is not null as is_tdx_address
        offset 0
    ) n
)
select m.uniqname as record_key,
       known.entity_hash as known_hash,
       encode(sha256(convert_to(row(  -- all but what was malformed
               m.uniqname, m.tdx_user_uid, m.umich_empl_id, m.umich_empl_ids, m.ldap_uid_number, m.ldap_gid_number,
               m.ad_object_guid, m.ad_sam_account_name, m.first_name, m.last_name, m.full_name, m.preferred_name,
               m.primary_email, m.work_phone, m.mobile_phone, m.work_address, m.work_city, m.work_state,
               m.work_postal, m.work_country, m.department_id, m.department_name, m.department_ids, m.job_title,
               m.department_job_title, m.primary_job_code, m.job_codes, m.primary_supervisor_id,
               m.primary_supervisor_uniqname, m.supervisor_ids, m.reports_to_uid, m.is_active, m.is_employee,
               m.ad_account_disabled, m.mcommunity_ou_affiliations, m.tdx_group_ids, m.home_directory,
               m.login_shell, m.tdx_external_id, m.tdx_beid, m.tdx_security_role_name, m.source_system, m.flags,
               m.data_quality_score
           )::text, 'UTF8')), 'hex')::char(64) as entity_hash,
       to_jsonb(m.flags) as quality_flags,
       m.*
from (select merged.*, silver.quality_score(flags) as data_quality_score from merged offset 0) m
left join silver.users known using (uniqname)
