-- Reads: which of some roles there are, and whether each is a plain login in one role and nothing else.
select r.rolname,
       not (r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls)
       and not exists (
           select from pg_auth_members m
           where m.member = r.oid
             and m.roleid <> (select oid from pg_roles where rolname = %(role)s)
       )
       and not exists (select from pg_class c where c.relowner = r.oid)
       and not exists (select from pg_database d where d.datdba = r.oid) as is_plain_login
from pg_roles r
where r.rolname = any(%(names)s)
