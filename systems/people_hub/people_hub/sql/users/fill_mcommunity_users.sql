-- Fills: silver.mcommunity_users with what MCommunity says last of each stale person.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
merge into silver.mcommunity_users t
using (
    select s.external_id,
           s.external_id,
           silver.uniqname_of(e.uid),
           silver.canonical_dn(e.dn),
           silver.text_in(x."displayName", r.raw_data, 'displayName'),
           silver.text_in(x."givenName", r.raw_data, 'givenName'),
           silver.text_in(x."sn", r.raw_data, 'sn'),
           case when silver.is_email(e.email) then lower(e.email) end,
           case when not silver.is_email(e.email) then e.email end,
           silver.text_in(x."telephoneNumber", r.raw_data, 'telephoneNumber'),
           e.ou,
           lower(e.ou::text collate "C") not in ('[]', '["alumni"]'),
           silver.text_in(x."umichTitle", r.raw_data, 'umichTitle'),
           silver.text_in(x."gidNumber", r.raw_data, 'gidNumber'),
           silver.text_in(x."homeDirectory", r.raw_data, 'homeDirectory'),
           silver.text_in(x."loginShell", r.raw_data, 'loginShell'),
           s.raw_id,
           s.is_deleted,
           %(run_id)s::uuid
    from staging_stale_head s
    left join bronze.raw_entities r on r.raw_id = s.content_raw_id
    left join lateral jsonb_to_record(r.raw_data) as x (
        "uid" text, "dn" text, "displayName" text, "givenName" text, "sn" text, "telephoneNumber" text,
        "umichTitle" text, "gidNumber" text, "homeDirectory" text, "loginShell" text, "mail" text
    ) on true
    cross join lateral (
        select silver.text_in(x."mail", r.raw_data, 'mail') as email,
               silver.text_in(x."uid", r.raw_data, 'uid') as uid,
               silver.text_in(x."dn", r.raw_data, 'dn') as dn,
               case jsonb_typeof(r.raw_data -> 'ou')
                   when 'array' then r.raw_data -> 'ou'
                   when 'string' then jsonb_build_array(r.raw_data -> 'ou')
                   else '[]'
               end as ou
        offset 0  -- computed once
    ) e
    where s.stream = 'mcommunity_ldap/user'
) s (
        external_id, uid_number, uniqname, distinguished_name, preferred_name, first_name, last_name, primary_email,
        malformed_email, work_phone, ou, is_active, umich_title, gid_number, home_directory, login_shell, raw_id,
        is_deleted, ingestion_run_id
) on s.external_id = t.external_id
when matched then update set
    uid_number = s.uid_number,
    uniqname = s.uniqname,
    distinguished_name = s.distinguished_name,
    preferred_name = s.preferred_name,
    first_name = s.first_name,
    last_name = s.last_name,
    primary_email = s.primary_email,
    malformed_email = s.malformed_email,
    work_phone = s.work_phone,
    ou = s.ou,
    is_active = s.is_active,
    umich_title = s.umich_title,
    gid_number = s.gid_number,
    home_directory = s.home_directory,
    login_shell = s.login_shell,
    raw_id = s.raw_id,
    is_deleted = s.is_deleted,
    updated_at = now(),
    ingestion_run_id = s.ingestion_run_id
when not matched then insert (
        external_id, uid_number, uniqname, distinguished_name, preferred_name, first_name, last_name, primary_email,
        malformed_email, work_phone, ou, is_active, umich_title, gid_number, home_directory, login_shell, raw_id,
        is_deleted, ingestion_run_id
) values (
        s.external_id, s.uid_number, s.uniqname, s.distinguished_name, s.preferred_name, s.first_name, s.last_name,
        s.primary_email, s.malformed_email, s.work_phone, s.ou, s.is_active, s.umich_title, s.gid_number,
        s.home_directory, s.login_shell, s.raw_id, s.is_deleted, s.ingestion_run_id
)
