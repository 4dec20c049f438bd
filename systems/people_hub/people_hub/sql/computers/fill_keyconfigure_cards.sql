-- Fills: silver.keyconfigure_cards with what KeyConfigure says last of each stale network card.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
insert into silver.keyconfigure_cards as t (
    external_id, mac_address, computer_id, computer_name, serial_number, cpu, cpu_cores, ram_mb, disk_gb, os_family,
    os_name, os_version, owner, raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       (silver.macs_of(s.external_id))[1],
       silver.key_text(coalesce(upper(silver.text_at(r.raw_data, 'Name')) || coalesce('-' || silver.serial_of(silver.text_at(r.raw_data, 'OEM SN')), ''), silver.serial_of(silver.text_at(r.raw_data, 'OEM SN')), s.external_id)),
       silver.text_at(r.raw_data, 'Name'),
       silver.serial_of(silver.text_at(r.raw_data, 'OEM SN')),
       silver.text_at(r.raw_data, 'CPU'),
       silver.number_at(r.raw_data, '#'),
       silver.number_at(r.raw_data, 'RAM'),
       case when silver.text_at(r.raw_data, 'Disk') ~ '^[0-9]{1,9}(\.[0-9]+)?$' then silver.text_at(r.raw_data, 'Disk')::numeric end,
       silver.text_at(r.raw_data, 'OS Family'),
       silver.text_at(r.raw_data, 'OS'),
       silver.text_at(r.raw_data, 'OS vers'),
       silver.key_text(lower(silver.text_at(r.raw_data, 'Owner'))),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
where s.stream = 'key_client/computer'
on conflict (external_id) do update set
    mac_address = excluded.mac_address,
    computer_id = excluded.computer_id,
    computer_name = excluded.computer_name,
    serial_number = excluded.serial_number,
    cpu = excluded.cpu,
    cpu_cores = excluded.cpu_cores,
    ram_mb = excluded.ram_mb,
    disk_gb = excluded.disk_gb,
    os_family = excluded.os_family,
    os_name = excluded.os_name,
    os_version = excluded.os_version,
    owner = excluded.owner,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
