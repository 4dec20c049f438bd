-- Fills: silver.ad_computers with what the Active Directory says last of each stale computer.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the version of its head.
insert into silver.ad_computers as t (
    external_id, object_guid, computer_name, distinguished_name, dns_hostname, operating_system,
    operating_system_version, is_enabled, managed_by, description, raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       s.external_id,
       coalesce(silver.text_at(r.raw_data, 'cn'), rtrim(silver.text_at(r.raw_data, 'sAMAccountName'), '$')),
       silver.canonical_dn(silver.text_at(r.raw_data, 'dn')),
       silver.text_at(r.raw_data, 'dNSHostName'),
       silver.text_at(r.raw_data, 'operatingSystem'),
       silver.text_at(r.raw_data, 'operatingSystemVersion'),
       silver.number_at(r.raw_data, 'userAccountControl') & 2 = 0,
       silver.canonical_dn(silver.text_at(r.raw_data, 'managedBy')),
       silver.text_at(r.raw_data, 'description'),
       s.raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
where s.stream = 'active_directory/computer'
on conflict (external_id) do update set
    object_guid = excluded.object_guid,
    computer_name = excluded.computer_name,
    distinguished_name = excluded.distinguished_name,
    dns_hostname = excluded.dns_hostname,
    operating_system = excluded.operating_system,
    operating_system_version = excluded.operating_system_version,
    is_enabled = excluded.is_enabled,
    managed_by = excluded.managed_by,
    description = excluded.description,
    raw_id = excluded.raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
