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
       case when n.is_person then silver.uniqname_of(coalesce(e.account, e.cn)) end,
       n.is_person,
       e.account,
       silver.canonical_dn(e.dn),
       silver.text_in(x."displayName", r.raw_data, 'displayName'),
       silver.text_in(x."givenName", r.raw_data, 'givenName'),
       silver.text_in(x."sn", r.raw_data, 'sn'),
       silver.text_in(x."title", r.raw_data, 'title'),
       case when silver.is_email(e.email) then lower(e.email) end,
       case when not silver.is_email(e.email) then e.email end,
       silver.text_in(x."telephoneNumber", r.raw_data, 'telephoneNumber'),
       silver.text_in(x."mobile", r.raw_data, 'mobile'),
       silver.number_at(r.raw_data, 'userAccountControl'),
       coalesce(silver.number_at(r.raw_data, 'userAccountControl') & 2 = 0, false),
       silver.text_in(x."uidNumber", r.raw_data, 'uidNumber'),
       silver.text_in(x."gidNumber", r.raw_data, 'gidNumber'),
       silver.text_in(x."homeDirectory", r.raw_data, 'homeDirectory'),
       silver.text_in(x."loginShell", r.raw_data, 'loginShell'),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
left join lateral jsonb_to_record(r.raw_data) as x (
    "sAMAccountName" text, "cn" text, "dn" text, "displayName" text, "givenName" text, "sn" text, "title" text,
    "telephoneNumber" text, "mobile" text, "uidNumber" text, "gidNumber" text, "homeDirectory" text,
    "loginShell" text, "mail" text
) on true
cross join lateral (  -- offset 0: computed once, not wherever it is used
    select silver.text_in(x."mail", r.raw_data, 'mail') as email,
           silver.text_in(x."dn", r.raw_data, 'dn') as dn,
           silver.text_in(x."cn", r.raw_data, 'cn') as cn,
           silver.text_in(x."sAMAccountName", r.raw_data, 'sAMAccountName') as account
    offset 0
) e
cross join lateral (
    select r.raw_data is not null
               and not coalesce(r.raw_data -> 'objectClass' ? 'computer', false)
               and coalesce(right(e.account, 1), '') <> '$'
               and coalesce(strpos(x.dn, 'CNF:'), 0) + coalesce(strpos(x.cn, 'CNF:'), 0)
                   + coalesce(strpos(x."sAMAccountName", 'CNF:'), 0) = 0 as is_person
    offset 0
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
