-- Fills: the TEMP table staging_record with every computer as its sources say now: of records that live where any does.
-- Reads: staging_computer, staging_machine, staging_shared, the source tables of computers, people and departments, and what is stored.
-- Twice is safe: one a transaction; the same sources give the same rows.
create temporary table staging_record on commit drop as
with card as (
    select distinct on (computer_id) *
    from silver.keyconfigure_cards
    order by computer_id, is_deleted, external_id
),
customer as (
    select distinct on (t.tdx_user_uid) t.tdx_user_uid, t.uniqname
    from silver.tdx_users t
    join silver.users u using (uniqname)
    order by t.tdx_user_uid
),
account as (
    select distinct on (t.tdx_id) t.tdx_id, t.dept_id
    from silver.tdx_departments t
    join silver.departments d using (dept_id)
    order by t.tdx_id, t.is_deleted, t.external_id
),
manager as (
    select distinct on (a.distinguished_name) a.distinguished_name, a.uniqname
    from silver.ad_users a
    join silver.users u using (uniqname)
    order by a.distinguished_name, a.is_deleted, a.external_id
),
department as (
    select distinct on (lower(dept_id)) lower(dept_id) as owner, dept_id
    from silver.departments
    order by lower(dept_id), dept_id collate "C"
),
shared as (
    select m.source_system,
           m.record_key,
           bool_or(s.kind = 'mac') as has_mac,
           bool_or(s.kind = 'serial') as has_serial
    from staging_machine m
    cross join lateral (
        select 'mac' as kind, unnest(m.mac_addresses) as value
        union all
        select 'serial', m.serial_number
    ) own
    join staging_shared s on s.kind = own.kind and s.value = own.value and not s.is_deleted
    where not m.is_deleted
    group by m.source_system, m.record_key
),
source as (
    select c.computer_uid,
           c.is_living,
           t.external_id as tdx_key,
           k.computer_id as card_key,
           a.external_id as ad_key,
           km.mac_addresses as card_macs,
           uo.uniqname as tdx_owner,
           uf.uniqname as financial_owner,
           ko.uniqname as card_owner,
           ao.uniqname as ad_owner,
           ta.dept_id as tdx_department,
           kd.dept_id as card_department,
           ts.has_mac or ks.has_mac as has_shared_mac,
           ts.has_serial or ks.has_serial as has_shared_serial
    from staging_computer c
    left join silver.tdx_assets t on t.external_id = c.tdx_key and not (t.is_deleted and c.is_living)
    left join card k on k.computer_id = c.card_key and not (k.is_deleted and c.is_living)
    left join staging_machine km on km.source_system = 'key_client' and km.record_key = k.computer_id
    left join silver.ad_computers a on a.external_id = c.ad_key and not (a.is_deleted and c.is_living)
    left join shared ts on ts.source_system = 'tdx' and ts.record_key = t.external_id
    left join shared ks on ks.source_system = 'key_client' and ks.record_key = k.computer_id
    left join customer uo on uo.tdx_user_uid = t.owning_customer_id
    left join customer uf on uf.tdx_user_uid = t.financial_owner_uid
    left join silver.users ko on ko.uniqname = k.owner
    left join manager ao on ao.distinguished_name = a.managed_by
    left join account ta on ta.tdx_id = t.owning_department_id
    left join department kd on kd.owner = k.owner
),
merged as (
    select s.computer_uid,
           coalesce(t.computer_name, k.computer_name, a.computer_name) as computer_name,
           array(
               select distinct one collate "C"
               from unnest(array[t.computer_name, k.computer_name, a.computer_name]) one
               where upper(one) <> upper(coalesce(t.computer_name, k.computer_name, a.computer_name))
               order by 1
           ) as aliases,
           coalesce(t.serial_number, k.serial_number) as serial_number,
           coalesce(t.mac_addresses[1], s.card_macs[1]) as mac_address,
           array(
               select distinct one collate "C"
               from unnest(t.mac_addresses || s.card_macs) one
               order by 1
           ) as mac_addresses,
           t.tdx_asset_id,
           a.object_guid as ad_object_guid,
           k.computer_id as keyconfigure_id,
           t.tag as asset_tag,
           coalesce(s.tdx_owner, s.card_owner, s.ad_owner) as owner_uniqname,
           s.financial_owner as financial_owner_uniqname,
           coalesce(s.tdx_department, s.card_department) as owner_department_id,
           t.manufacturer_name as manufacturer,
           t.product_model_name as product_model,
           k.os_family,
           coalesce(k.os_name, a.operating_system, t.os_name) as os_name,
           coalesce(k.os_version, a.operating_system_version) as os_version,
           k.cpu,
           k.cpu_cores,
           k.ram_mb,
           k.disk_gb,
           t.ip_addresses,
           a.dns_hostname,
           a.description,
           t.status_name,
           s.is_living and case
               when t.status_name is not null then lower(t.status_name) = 'active'
               else a.is_enabled is not false
           end as is_active,
           a.is_enabled as is_ad_enabled,
           t.location_info,
           case when s.is_living then concat_ws(
               '+',
               case when s.ad_key is not null then 'active_directory' end,
               case when s.card_key is not null then 'key_client' end,
               case when s.tdx_key is not null then 'tdx' end
           ) else '' end as source_system,
           array_remove(array[
               case when s.is_living and s.tdx_department <> s.card_department then 'department_conflict' end,
               case when t.owning_department_id is not null and s.tdx_department is null
                    then 'invalid_department_reference' end,
               case when t.owning_customer_id is not null and s.tdx_owner is null
                    then 'invalid_owner_reference' end,
               case when s.ad_key is null or not s.is_living then 'missing_active_directory_source' end,
               case when coalesce(s.tdx_department, s.card_department) is null then 'missing_department' end,
               case when s.card_key is null or not s.is_living then 'missing_key_client_source' end,
               case when coalesce(t.mac_addresses[1], s.card_macs[1]) is null then 'missing_mac_address' end,
               case when coalesce(s.tdx_owner, s.card_owner, s.ad_owner) is null then 'missing_owner' end,
               case when coalesce(t.serial_number, k.serial_number) is null then 'missing_serial_number' end,
               case when s.tdx_key is null or not s.is_living then 'missing_tdx_source' end,
               -- the directory's is one of these two, by which it met the computer
               case when s.is_living and upper(t.computer_name) <> upper(k.computer_name) then 'name_mismatch' end,
               case when not s.is_living then 'no_live_source' end,
               case when s.is_living and (
                        k.os_name <> a.operating_system or k.os_name <> t.os_name or a.operating_system <> t.os_name
                    ) then 'os_name_conflict' end,
               case when s.is_living and (
                        s.tdx_owner <> s.card_owner or s.tdx_owner <> s.ad_owner or s.card_owner <> s.ad_owner
                    ) then 'owner_conflict' end,
               case when s.is_living and t.serial_number <> k.serial_number then 'serial_number_mismatch' end,
               case when s.has_shared_mac then 'shared_mac_address' end,
               case when s.has_shared_serial then 'shared_serial_number' end
           ], null) as flags
    from source s
    left join silver.tdx_assets t on t.external_id = s.tdx_key
    left join card k on k.computer_id = s.card_key
    left join silver.ad_computers a on a.external_id = s.ad_key
)
select m.computer_uid as record_key,
       known.entity_hash as known_hash,
       encode(sha256(convert_to(m::text || silver.quality_score(m.flags), 'UTF8')), 'hex')::char(64) as entity_hash,
       silver.quality_score(m.flags) as data_quality_score,
       to_jsonb(m.flags) as quality_flags,
       null::jsonb as malformed,
       m.*
from merged m
left join silver.computers known using (computer_uid)
