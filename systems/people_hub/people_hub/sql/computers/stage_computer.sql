-- Fills: the TEMP table staging_computer: which records of the three sources are one computer, and its uid, which comes from them.
-- Reads: staging_machine, staging_joined, staging_directory_pair.
-- Twice is safe: one a transaction; the same records give the same uids.
create temporary table staging_computer on commit drop as
with whole as (
    select j.tdx_key, j.card_key, p.ad_key, j.is_deleted
    from staging_joined j
    left join staging_directory_pair p on p.place = j.place
    union all
    select null, null, m.record_key, true
    from staging_machine m
    left join staging_directory_pair p on p.ad_key = m.record_key
    where m.source_system = 'active_directory'
      and p.ad_key is null
)
select coalesce('tdx:' || w.tdx_key, 'ad:' || w.ad_key, 'key:' || w.card_key) as computer_uid,
       w.tdx_key,
       w.card_key,
       w.ad_key,
       not (w.is_deleted and coalesce(a.is_deleted, true)) as is_living
from whole w
left join staging_machine a on a.source_system = 'active_directory' and a.record_key = w.ad_key
