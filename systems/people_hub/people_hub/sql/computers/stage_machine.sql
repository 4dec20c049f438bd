-- Fills: the TEMP table staging_machine: a row a record of a computer at each source, with what it can be recognised by.
-- Reads: silver.tdx_assets, silver.keyconfigure_cards, silver.ad_computers.
-- Twice is safe: one a transaction. Place orders the records of a source: living, then active, then lowest key.
create temporary table staging_machine on commit drop as
select source_system, record_key, computer_name, serial_number, mac_addresses, is_deleted,
       row_number() over (
           partition by source_system
           order by is_deleted, is_active desc, length(record_key), record_key collate "C"
       ) as place
from (
    select 'tdx' as source_system, external_id as record_key, upper(computer_name) as computer_name, serial_number,
           mac_addresses, is_deleted, lower(status_name) is not distinct from 'active' as is_active
    from silver.tdx_assets
    where tdx_asset_id is not null
    union all
    select 'key_client', computer_id, upper(min(computer_name)), min(serial_number),
           coalesce(array_agg(distinct mac_address::text) filter (where mac_address is not null), '{}'),
           bool_and(is_deleted), true
    from silver.keyconfigure_cards k
    where not is_deleted
       or not exists (select from silver.keyconfigure_cards o where o.computer_id = k.computer_id and not o.is_deleted)
    group by computer_id
    union all
    select 'active_directory', external_id, upper(computer_name), null, '{}', is_deleted, is_enabled is true
    from silver.ad_computers
    where coalesce(distinguished_name, '') !~ 'cnf:'
) every
