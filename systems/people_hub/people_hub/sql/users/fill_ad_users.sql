-- Fills: silver.ad_users with what the Active Directory says last of each stale object; what is no person has no uniqname.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
merge into silver.ad_users t
using (
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
) s (
        external_id, ad_user_guid, uniqname, is_person, sam_account_name, distinguished_name, display_name, first_name,
        last_name, title, primary_email, malformed_email, work_phone, mobile, user_account_control, is_active,
        uid_number, gid_number, home_directory, login_shell, raw_id, is_deleted, ingestion_run_id
) on s.external_id = t.external_id
when matched then update set
    ad_user_guid = s.ad_user_guid,
    uniqname = s.uniqname,
    is_person = s.is_person,
    sam_account_name = s.sam_account_name,
    distinguished_name = s.distinguished_name,
    display_name = s.display_name,
    first_name = s.first_name,
    last_name = s.last_name,
    title = s.title,
    primary_email = s.primary_email,
    malformed_email = s.malformed_email,
    work_phone = s.work_phone,
    mobile = s.mobile,
    user_account_control = s.user_account_control,
    is_active = s.is_active,
    uid_number = s.uid_number,
    gid_number = s.gid_number,
    home_directory = s.home_directory,
    login_shell = s.login_shell,
    raw_id = s.raw_id,
    is_deleted = s.is_deleted,
    updated_at = now(),
    ingestion_run_id = s.ingestion_run_id
when not matched then insert (
        external_id, ad_user_guid, uniqname, is_person, sam_account_name, distinguished_name, display_name, first_name,
        last_name, title, primary_email, malformed_email, work_phone, mobile, user_account_control, is_active,
        uid_number, gid_number, home_directory, login_shell, raw_id, is_deleted, ingestion_run_id
) values (
        s.external_id, s.ad_user_guid, s.uniqname, s.is_person, s.sam_account_name, s.distinguished_name,
        s.display_name, s.first_name, s.last_name, s.title, s.primary_email, s.malformed_email, s.work_phone,
        s.mobile, s.user_account_control, s.is_active, s.uid_number, s.gid_number, s.home_directory, s.login_shell,
        s.raw_id, s.is_deleted, s.ingestion_run_id
)
