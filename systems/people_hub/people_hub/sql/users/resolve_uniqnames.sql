-- Fills: uniqname of silver.umapi_employees where a record has none: that of another of its EmplId, else TeamDynamix's of it; living first.
-- Reads: silver.umapi_employees, silver.tdx_users, touched_number.
-- Twice is safe: the second time nothing differs.
update silver.umapi_employees e
set uniqname = found.uniqname
from (
    select distinct on (lacking.empl_id) lacking.empl_id, known.uniqname
    from (
        select distinct empl_id
        from silver.umapi_employees
        where own_uniqname is null
          and (%(is_whole)s or empl_id in (select empl_id from touched_number))
    ) lacking
    left join lateral (
        select o.own_uniqname as uniqname, o.is_deleted, 1 as rank, o.empl_rcd as place, true as is_active, o.external_id
        from silver.umapi_employees o
        where o.empl_id = lacking.empl_id and o.own_uniqname is not null
        union all
        select t.uniqname, t.is_deleted, 2, length(t.external_id), t.is_active is true, t.external_id
        from silver.tdx_users t
        where t.external_number = lacking.empl_id and t.uniqname is not null
    ) known on true
    order by lacking.empl_id, known.is_deleted, known.rank, known.is_active desc, known.place, known.external_id
) found
where e.empl_id = found.empl_id
  and e.own_uniqname is null
  and e.uniqname is distinct from found.uniqname
