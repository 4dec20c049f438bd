-- Fills: the TEMP table staging_computer: which records of the three sources are one computer, and its uid, which comes from them.
-- Reads: staging_machine, staging_pair.
-- Twice is safe: one a transaction. The directory's computer joins by name: TeamDynamix's first, then KeyConfigure's.
create temporary table staging_computer on commit drop as
with joined as (
    select t.record_key as tdx_key, p.card_key, t.place, t.is_deleted and coalesce(k.is_deleted, true) as is_deleted,
           t.computer_name as tdx_name, k.computer_name as card_name
    from staging_machine t
    left join staging_pair p on p.tdx_key = t.record_key
    left join staging_machine k on k.source_system = 'key_client' and k.record_key = p.card_key
    where t.source_system = 'tdx'
    union all
    select null, k.record_key, k.place, k.is_deleted, null, k.computer_name
    from staging_machine k
    where k.source_system = 'key_client'
      and not exists (select from staging_pair p where p.card_key = k.record_key)
),
possible as (
    select a.record_key as ad_key, j.tdx_key, j.card_key, a.place as ad_place,
           j.is_deleted::int + a.is_deleted::int as gone,
           case when j.tdx_name = a.computer_name then 1 else 2 end as rank,
           j.tdx_key is null as is_card_alone,
           j.place
    from staging_machine a
    join joined j on a.computer_name in (j.tdx_name, j.card_name)
    where a.source_system = 'active_directory'
),
chosen as (
    select ad_key, tdx_key, card_key
    from (
        select *,
               row_number() over (
                   partition by ad_key order by gone, rank, is_card_alone, place, tdx_key, card_key
               ) as ad_choice,
               row_number() over (
                   partition by tdx_key, card_key order by gone, rank, ad_place
               ) as computer_choice
        from possible
    ) p
    where ad_choice = 1
      and computer_choice = 1
),
whole as (
    select j.tdx_key, j.card_key, c.ad_key
    from joined j
    left join chosen c
        on c.tdx_key is not distinct from j.tdx_key
        and c.card_key is not distinct from j.card_key
    union all
    select null, null, a.record_key
    from staging_machine a
    where a.source_system = 'active_directory'
      and not exists (select from chosen c where c.ad_key = a.record_key)
)
select coalesce('tdx:' || w.tdx_key, 'ad:' || w.ad_key, 'key:' || w.card_key) as computer_uid,
       w.tdx_key,
       w.card_key,
       w.ad_key,
       not (coalesce(t.is_deleted, true) and coalesce(k.is_deleted, true) and coalesce(a.is_deleted, true)) as is_living
from whole w
left join staging_machine t on t.source_system = 'tdx' and t.record_key = w.tdx_key
left join staging_machine k on k.source_system = 'key_client' and k.record_key = w.card_key
left join staging_machine a on a.source_system = 'active_directory' and a.record_key = w.ad_key
