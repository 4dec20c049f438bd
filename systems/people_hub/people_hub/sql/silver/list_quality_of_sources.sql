-- Reads: silver.v_quality.
-- A source without a record is there with a zero; the worst comes first.
select expected.entity,
       expected.source,
       count(q.record_key) as records,
       round(avg(q.score), 4) as average_score,
       count(*) filter (where q.mismatches > 0) as with_mismatch,
       count(*) filter (where q.conflicts > 0) as with_conflict
from (
    values ('department', 'tdx'), ('department', 'umich_api'), ('user', 'active_directory'), ('user', 'mcommunity_ldap'),
           ('user', 'tdx'), ('user', 'umich_api'), ('group', 'active_directory'), ('group', 'mcommunity_ldap'),
           ('computer', 'active_directory'), ('computer', 'key_client'), ('computer', 'tdx')
) expected (entity, source)
left join silver.v_quality q
    on q.entity = expected.entity
    and expected.source = any (string_to_array(q.source_system, '+'))
group by expected.entity, expected.source
order by count(q.record_key) > 0, avg(q.score), expected.entity, expected.source
