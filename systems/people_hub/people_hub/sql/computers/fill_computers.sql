-- Fills: silver.computers with the staged computers that are new or differ from what is stored.
-- Reads: staging_record.
-- Twice is safe: keyed by computer_uid; an equal one is not touched.
insert into silver.computers as t (
    computer_uid, computer_name, aliases, serial_number, mac_address, mac_addresses, tdx_asset_id, ad_object_guid,
    keyconfigure_id, asset_tag, owner_uniqname, financial_owner_uniqname, owner_department_id, manufacturer,
    product_model, os_family, os_name, os_version, cpu, cpu_cores, ram_mb, disk_gb, ip_addresses, dns_hostname,
    description, status_name, is_active, is_ad_enabled, location_info, source_system, data_quality_score,
    quality_flags, entity_hash, ingestion_run_id
)
select computer_uid, computer_name, aliases, serial_number, mac_address, mac_addresses, tdx_asset_id, ad_object_guid,
       keyconfigure_id, asset_tag, owner_uniqname, financial_owner_uniqname, owner_department_id, manufacturer,
       product_model, os_family, os_name, os_version, cpu, cpu_cores, ram_mb, disk_gb, ip_addresses, dns_hostname,
       description, status_name, is_active, is_ad_enabled, location_info, source_system, data_quality_score,
       quality_flags, entity_hash,
       %(run_id)s::uuid
from staging_record
where known_hash is distinct from entity_hash
on conflict (computer_uid) do update set
    computer_name = excluded.computer_name,
    aliases = excluded.aliases,
    serial_number = excluded.serial_number,
    mac_address = excluded.mac_address,
    mac_addresses = excluded.mac_addresses,
    tdx_asset_id = excluded.tdx_asset_id,
    ad_object_guid = excluded.ad_object_guid,
    keyconfigure_id = excluded.keyconfigure_id,
    asset_tag = excluded.asset_tag,
    owner_uniqname = excluded.owner_uniqname,
    financial_owner_uniqname = excluded.financial_owner_uniqname,
    owner_department_id = excluded.owner_department_id,
    manufacturer = excluded.manufacturer,
    product_model = excluded.product_model,
    os_family = excluded.os_family,
    os_name = excluded.os_name,
    os_version = excluded.os_version,
    cpu = excluded.cpu,
    cpu_cores = excluded.cpu_cores,
    ram_mb = excluded.ram_mb,
    disk_gb = excluded.disk_gb,
    ip_addresses = excluded.ip_addresses,
    dns_hostname = excluded.dns_hostname,
    description = excluded.description,
    status_name = excluded.status_name,
    is_active = excluded.is_active,
    is_ad_enabled = excluded.is_ad_enabled,
    location_info = excluded.location_info,
    source_system = excluded.source_system,
    data_quality_score = excluded.data_quality_score,
    quality_flags = excluded.quality_flags,
    entity_hash = excluded.entity_hash,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
