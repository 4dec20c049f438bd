-- Reads: silver.computers, its source tables: a row a field with what each source says, who is asked first first.
-- The records of a source stand in the order in which a transform chooses one.
select f.field, to_jsonb(s) ->> f.field as value, f.said, s.data_quality_score, s.quality_flags
from silver.computers s
left join silver.tdx_assets t on t.tdx_asset_id = s.tdx_asset_id
left join lateral (
    select c.* from silver.keyconfigure_cards c
    where c.computer_id = s.keyconfigure_id
    order by c.is_deleted, c.external_id
    limit 1
) k on true
left join silver.keyconfigure_computers km on km.computer_id = s.keyconfigure_id
left join silver.ad_computers a on a.external_id = s.ad_object_guid
left join silver.tdx_users uo on uo.tdx_user_uid = t.owning_customer_id
left join silver.users ko on ko.uniqname = k.owner
left join lateral (
    select u.uniqname from silver.ad_users u
    where u.distinguished_name = a.managed_by and u.uniqname is not null
    order by u.is_deleted, u.external_id
    limit 1
) ao on true
left join lateral (
    select d.dept_id from silver.tdx_departments d
    where d.tdx_id = t.owning_department_id
    order by d.is_deleted, d.external_id
    limit 1
) ta on true
left join lateral (
    select d.dept_id from silver.departments d
    where lower(d.dept_id) = k.owner
    order by d.dept_id collate "C"
    limit 1
) kd on true
cross join lateral (
    values
        (1, 'computer_name', array['tdx', t.computer_name::text, 'key_client', k.computer_name::text, 'active_directory', a.computer_name::text]),
        (2, 'serial_number', array['tdx', t.serial_number::text, 'key_client', k.serial_number::text]),
        (3, 'mac_address', array['tdx', t.mac_addresses[1]::text, 'key_client', km.mac_addresses[1]::text]),
        (4, 'owner_uniqname', array['tdx', uo.uniqname::text, 'key_client', ko.uniqname::text, 'active_directory', ao.uniqname::text]),
        (5, 'owner_department_id', array['tdx', ta.dept_id::text, 'key_client', kd.dept_id::text]),
        (6, 'os_name', array['key_client', k.os_name::text, 'active_directory', a.operating_system::text, 'tdx', t.os_name::text]),
        (7, 'manufacturer', array['tdx', t.manufacturer_name::text]),
        (8, 'product_model', array['tdx', t.product_model_name::text]),
        (9, 'cpu', array['key_client', k.cpu::text]),
        (10, 'ram_mb', array['key_client', k.ram_mb::text]),
        (11, 'disk_gb', array['key_client', k.disk_gb::text]),
        (12, 'status_name', array['tdx', t.status_name::text]),
        (13, 'is_ad_enabled', array['active_directory', a.is_enabled::text]),
        (14, 'mac_addresses', array['tdx', to_jsonb(t.mac_addresses)::text, 'key_client', to_jsonb(km.mac_addresses)::text]),
        (15, 'is_active', array['tdx', (lower(t.status_name) = 'active')::text, 'active_directory', a.is_enabled::text]),
        (16, 'os_family', array['key_client', k.os_family]),
        (17, 'os_version', array['key_client', k.os_version, 'active_directory', a.operating_system_version]),
        (18, 'cpu_cores', array['key_client', k.cpu_cores::text]),
        (19, 'financial_owner_uniqname', array['tdx', s.financial_owner_uniqname]),
        (20, 'asset_tag', array['tdx', t.tag]),
        (21, 'ip_addresses', array['tdx', t.ip_addresses]),
        (22, 'dns_hostname', array['active_directory', a.dns_hostname]),
        (23, 'description', array['active_directory', a.description]),
        (24, 'location_info', array['tdx', t.location_info::text]),
        (25, 'tdx_asset_id', array['tdx', t.tdx_asset_id::text]),
        (26, 'ad_object_guid', array['active_directory', a.object_guid]),
        (27, 'keyconfigure_id', array['key_client', k.computer_id]),
        (28, 'aliases', array['every name but the first', to_jsonb(s.aliases)::text])
) f (place, field, said)
where s.computer_uid = %(key)s
order by f.place
