-- Reads: silver.users, its source tables: a row a field with what each source says, who is asked first first.
-- The records of a source stand in the order in which a transform chooses one.
with living as (
    select not bool_and(is_deleted) as is_living
    from (
        select is_deleted from silver.umapi_employees where uniqname = %(key)s
        union all
        select is_deleted from silver.mcommunity_users where uniqname = %(key)s
        union all
        select is_deleted from silver.ad_users where uniqname = %(key)s
        union all
        select is_deleted from silver.tdx_users where uniqname = %(key)s
    ) every
),
tdx as (
    select x.*
    from silver.tdx_users x, living
    where x.uniqname = %(key)s and not (x.is_deleted and living.is_living)
    order by x.is_active is not true, length(x.external_id), x.external_id
    limit 1
),
mcommunity as (
    select x.*
    from silver.mcommunity_users x, living
    where x.uniqname = %(key)s and not (x.is_deleted and living.is_living)
    order by x.is_active is not true, length(x.external_id), x.external_id
    limit 1
),
ad as (
    select x.*
    from silver.ad_users x, living
    where x.uniqname = %(key)s and not (x.is_deleted and living.is_living)
    order by x.is_active is not true, length(x.external_id), x.external_id
    limit 1
),
umapi as (
    select x.*
    from silver.umapi_employees x, living
    where x.uniqname = %(key)s and not (x.is_deleted and living.is_living)
    order by x.empl_rcd, x.empl_id, x.external_id
    limit 1
)
select f.field, to_jsonb(s) ->> f.field as value, f.said, s.data_quality_score, s.quality_flags
from silver.users s
left join tdx t on true
left join umapi u on true
left join mcommunity m on true
left join ad a on true
left join silver.known_accounts k on k.tdx_id = t.default_account_id
left join silver.departments d on d.dept_id = s.department_id
cross join lateral (
    values
        (1, 'first_name', array['tdx', t.first_name::text, 'umich_api', u.first_name::text, 'mcommunity_ldap', m.first_name::text, 'active_directory', a.first_name::text]),
        (2, 'last_name', array['tdx', t.last_name::text, 'umich_api', u.last_name::text, 'mcommunity_ldap', m.last_name::text, 'active_directory', a.last_name::text]),
        (3, 'full_name', array['last and first name', s.last_name || ', ' || s.first_name::text, 'umich_api', u.full_name::text, 'active_directory', a.display_name::text]),
        (4, 'preferred_name', array['tdx', t.full_name::text, 'mcommunity_ldap', m.preferred_name::text]),
        (5, 'primary_email', array['tdx', t.primary_email::text, 'mcommunity_ldap', m.primary_email::text, 'active_directory', a.primary_email::text]),
        (6, 'work_phone', array['tdx', t.work_phone::text, 'umich_api', u.work_phone::text, 'mcommunity_ldap', m.work_phone::text, 'active_directory', a.work_phone::text]),
        (7, 'mobile_phone', array['tdx', t.mobile_phone::text, 'active_directory', a.mobile::text]),
        (8, 'department_id', array['umich_api', u.department_id::text, 'tdx', k.dept_id::text]),
        (9, 'job_title', array['umich_api', coalesce(u.university_job_title, u.department_job_title)::text, 'mcommunity_ldap', m.umich_title::text, 'tdx', t.title::text, 'active_directory', a.title::text]),
        (10, 'umich_empl_id', array['umich_api', u.empl_id::text]),
        (11, 'tdx_external_id', array['tdx', t.external_number::text]),
        (12, 'tdx_user_uid', array['tdx', t.tdx_user_uid::text]),
        (13, 'ad_object_guid', array['active_directory', a.ad_user_guid::text]),
        (14, 'ldap_uid_number', array['mcommunity_ldap', m.uid_number::text, 'active_directory', a.uid_number::text]),
        (15, 'ldap_gid_number', array['mcommunity_ldap', m.gid_number::text, 'active_directory', a.gid_number::text]),
        (16, 'primary_supervisor_id', array['umich_api', u.supervisor_id::text]),
        (17, 'reports_to_uid', array['tdx', t.reports_to_uid::text]),
        (18, 'home_directory', array['mcommunity_ldap', m.home_directory::text, 'active_directory', a.home_directory::text]),
        (19, 'login_shell', array['mcommunity_ldap', m.login_shell::text, 'active_directory', a.login_shell::text]),
        (20, 'is_active', array['tdx', t.is_active::text, 'active_directory', a.is_active::text,
                                'umich_api', case when u.uniqname is not null then 'true' end,
                                'mcommunity_ldap', m.is_active::text]),
        (22, 'department_name', array['silver.departments', d.department_name]),
        (23, 'department_job_title', array['umich_api', u.department_job_title]),
        (24, 'primary_job_code', array['umich_api', u.jobcode]),
        (25, 'primary_supervisor_uniqname', array['supervisor''s EmplId', s.primary_supervisor_uniqname]),
        (26, 'work_address', array['tdx', t.work_address, 'umich_api', u.work_address]),
        (27, 'work_city', array['tdx', t.work_city, 'umich_api', u.work_city]),
        (28, 'work_state', array['tdx', t.work_state, 'umich_api', u.work_state]),
        (29, 'work_postal', array['tdx', t.work_postal, 'umich_api', u.work_postal]),
        (30, 'work_country', array['tdx', t.work_country, 'umich_api', u.work_country]),
        (31, 'is_employee', array['umich_api', (u.uniqname is not null)::text, 'tdx', t.is_employee::text]),
        (32, 'ad_account_disabled', array['active_directory', (not a.is_active)::text]),
        (33, 'ad_sam_account_name', array['active_directory', a.sam_account_name]),
        (34, 'tdx_beid', array['tdx', t.beid]),
        (35, 'tdx_security_role_name', array['tdx', t.security_role_name]),
        (36, 'tdx_group_ids', array['tdx', to_jsonb(t.group_ids)::text]),
        (37, 'mcommunity_ou_affiliations', array['mcommunity_ldap', m.ou::text]),
        (38, 'umich_empl_ids', array['umich_api', to_jsonb(s.umich_empl_ids)::text]),
        (39, 'department_ids', array['umich_api', to_jsonb(s.department_ids)::text]),
        (40, 'job_codes', array['umich_api', to_jsonb(s.job_codes)::text]),
        (41, 'supervisor_ids', array['umich_api', to_jsonb(s.supervisor_ids)::text]),
        (42, 'malformed e-mail', array['tdx', t.malformed_email::text, 'mcommunity_ldap', m.malformed_email::text, 'active_directory', a.malformed_email::text])
) f (place, field, said)
where s.uniqname = %(key)s
order by f.place
