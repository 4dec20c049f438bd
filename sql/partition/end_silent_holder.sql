-- Fills: nothing; ends the session of a lock's holder that has not said a word for long: its process hangs or is stopped.
-- Reads: pg_locks, pg_stat_activity.
-- Twice is safe: the second time there is no such session. A living consumer says something every few seconds.
select pg_terminate_backend(a.pid)
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory'
  and l.granted
  and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = %(key)s
  and (a.state like 'idle%%' or a.wait_event = 'ClientRead')
  and a.state_change < clock_timestamp() - %(silence)s::interval
