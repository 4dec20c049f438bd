-- Reads: pg_locks, pg_stat_activity: who holds an advisory lock of this database, as far as the server tells.
select coalesce(nullif(a.application_name, ''), 'an unnamed client'),
       l.pid,
       coalesce(host(a.client_addr), 'local'),
       to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = %(key)s
