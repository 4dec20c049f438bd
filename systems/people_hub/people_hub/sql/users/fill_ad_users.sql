-- Fills: silver.ad_users with what the Active Directory says last of each stale object; what is no person has no uniqname.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
insert into silver.ad_users as t (
    external_id, ad_user_guid, uniqname, is_person, sam_account_name, distinguished_name, display_name, first_name,
    last_name, title, primary_email, malformed_email, work_phone, mobile, user_account_control, is_active,
    uid_number, gid_number, home_directory, login_shell, raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       s.external_id,
       case when n.is_person then coalesce(silver.uniqname_of(silver.text_of(r.raw_data -> 'sAMAccountName')),
                                        silver.uniqname_of(silver.text_of(r.raw_data -> 'cn'))) end,
       n.is_person,
       silver.text_of(r.raw_data -> 'sAMAccountName'),
       silver.canonical_dn(silver.text_of(r.raw_data -> 'dn')),
       silver.text_of(r.raw_data -> 'displayName'),
       silver.text_of(r.raw_data -> 'givenName'),
       silver.text_of(r.raw_data -> 'sn'),
       silver.text_of(r.raw_data -> 'title'),
       case when silver.is_email(silver.text_of(r.raw_data -> 'mail')) then lower(silver.text_of(r.raw_data -> 'mail')) end,
       case when not silver.is_email(silver.text_of(r.raw_data -> 'mail')) then silver.text_of(r.raw_data -> 'mail') end,
       silver.text_of(r.raw_data -> 'telephoneNumber'),
       silver.text_of(r.raw_data -> 'mobile'),
       silver.number_of(r.raw_data -> 'userAccountControl'),
       coalesce(silver.number_of(r.raw_data -> 'userAccountControl') & 2 = 0, false),
       silver.text_of(r.raw_data -> 'uidNumber'),
       silver.text_of(r.raw_data -> 'gidNumber'),
       silver.text_of(r.raw_data -> 'homeDirectory'),
       silver.text_of(r.raw_data -> 'loginShell'),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
cross join lateral (
    select r.raw_data is not null
               and not coalesce(r.raw_data -> 'objectClass' ? 'computer', false)
               and coalesce(silver.text_of(r.raw_data -> 'sAMAccountName'), '') !~ '\$$'
               and concat_ws(' ', r.raw_data ->> 'dn', r.raw_data ->> 'cn', r.raw_data ->> 'name', r.raw_data ->> 'sAMAccountName')
               !~ 'CNF:' as is_person
) n
where s.stream = 'active_directory/user'
on conflict (external_id) do update set
    ad_user_guid = excluded.ad_user_guid,
    uniqname = excluded.uniqname,
    is_person = excluded.is_person,
    sam_account_name = excluded.sam_account_name,
    distinguished_name = excluded.distinguished_name,
    display_name = excluded.display_name,
    first_name = excluded.first_name,
    last_name = excluded.last_name,
    title = excluded.title,
    primary_email = excluded.primary_email,
    malformed_email = excluded.malformed_email,
    work_phone = excluded.work_phone,
    mobile = excluded.mobile,
    user_account_control = excluded.user_account_control,
    is_active = excluded.is_active,
    uid_number = excluded.uid_number,
    gid_number = excluded.gid_number,
    home_directory = excluded.home_directory,
    login_shell = excluded.login_shell,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
