-- Fills: the TEMP table staging_joined: the records of TeamDynamix and KeyConfigure, those that are one computer in one row.
-- Reads: staging_machine, staging_pair.
-- Twice is safe: one a transaction. Place orders them: living first, TeamDynamix's before KeyConfigure's alone.
create temporary table staging_joined on commit drop as
select row_number() over (order by is_deleted, tdx_key is null, place_in_source) as place,
       tdx_key, card_key, is_deleted, tdx_name, card_name
from (
    select t.record_key as tdx_key, p.card_key, t.is_deleted and coalesce(k.is_deleted, true) as is_deleted,
           t.computer_name as tdx_name, k.computer_name as card_name, t.place as place_in_source
    from staging_machine t
    left join staging_pair p on p.tdx_key = t.record_key
    left join staging_machine k on k.source_system = 'key_client' and k.record_key = p.card_key
    where t.source_system = 'tdx'
    union all
    select null, k.record_key, k.is_deleted, null, k.computer_name, k.place
    from staging_machine k
    left join staging_pair p on p.card_key = k.record_key
    where k.source_system = 'key_client'
      and p.card_key is null
) every
