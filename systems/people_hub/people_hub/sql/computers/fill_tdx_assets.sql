-- Fills: silver.tdx_assets with what TeamDynamix says last of each stale asset; of its detail what the listing lacks.
-- Reads: staging_stale_head, bronze.raw_entities.
-- Twice is safe: keyed by the record's key; a row follows the versions of its heads.
insert into silver.tdx_assets as t (
    external_id, tdx_asset_id, tag, computer_name, serial_number, mac_addresses, ip_addresses, status_name,
    owning_customer_id, financial_owner_uid, owning_department_id, manufacturer_name, product_model_name, os_name,
    location_info, raw_id, detail_raw_id, is_deleted, ingestion_run_id
)
select s.external_id,
       case when s.external_id ~ '^[0-9]{1,15}$' then s.external_id::bigint end,
       silver.text_at(w.raw_data, 'Tag'),
       silver.text_at(w.raw_data, 'Name'),
       silver.serial_of(silver.text_at(w.raw_data, 'SerialNumber')),
       silver.macs_of((
           select silver.text_at(one, 'Value')
           from jsonb_array_elements(
               case when jsonb_typeof(w.raw_data -> 'Attributes') = 'array' then w.raw_data -> 'Attributes' end
           ) with ordinality a (one, place)
           where one ->> 'Name' = 'MAC Address(es)'
           order by place
           limit 1
       )),
       (
           select silver.text_at(one, 'Value')
           from jsonb_array_elements(
               case when jsonb_typeof(w.raw_data -> 'Attributes') = 'array' then w.raw_data -> 'Attributes' end
           ) with ordinality a (one, place)
           where one ->> 'Name' = 'IP Address(es)'
           order by place
           limit 1
       ),
       silver.text_at(w.raw_data, 'StatusName'),
       silver.text_at(w.raw_data, 'OwningCustomerID'),
       (
           select silver.text_at(one, 'Value')
           from jsonb_array_elements(
               case when jsonb_typeof(w.raw_data -> 'Attributes') = 'array' then w.raw_data -> 'Attributes' end
           ) with ordinality a (one, place)
           where one ->> 'Name' = 'Financial Owner'
           order by place
           limit 1
       ),
       nullif(silver.number_at(w.raw_data, 'OwningDepartmentID'), 0),
       silver.text_at(w.raw_data, 'ManufacturerName'),
       silver.text_at(w.raw_data, 'ProductModelName'),
       (
           select silver.text_at(one, 'ValueText')
           from jsonb_array_elements(
               case when jsonb_typeof(w.raw_data -> 'Attributes') = 'array' then w.raw_data -> 'Attributes' end
           ) with ordinality a (one, place)
           where one ->> 'Name' = 'Operating System'
           order by place
           limit 1
       ),
       nullif(
           jsonb_strip_nulls(jsonb_build_object(
               'location', silver.text_at(w.raw_data, 'LocationName'),
               'room', silver.text_at(w.raw_data, 'LocationRoomName')
           )),
           '{}'
       ),
       s.raw_id,
       s.detail_raw_id,
       s.is_deleted,
       %(run_id)s::uuid
from staging_stale_head s
left join bronze.raw_entities r on r.raw_id = s.content_raw_id
left join bronze.raw_entities d on d.raw_id = s.detail_content_raw_id
cross join lateral (select coalesce(d.raw_data, '{}') || coalesce(r.raw_data, '{}') as raw_data) w
where s.stream = 'tdx/asset'
on conflict (external_id) do update set
    tdx_asset_id = excluded.tdx_asset_id,
    tag = excluded.tag,
    computer_name = excluded.computer_name,
    serial_number = excluded.serial_number,
    mac_addresses = excluded.mac_addresses,
    ip_addresses = excluded.ip_addresses,
    status_name = excluded.status_name,
    owning_customer_id = excluded.owning_customer_id,
    financial_owner_uid = excluded.financial_owner_uid,
    owning_department_id = excluded.owning_department_id,
    manufacturer_name = excluded.manufacturer_name,
    product_model_name = excluded.product_model_name,
    os_name = excluded.os_name,
    location_info = excluded.location_info,
    raw_id = excluded.raw_id,
    detail_raw_id = excluded.detail_raw_id,
    is_deleted = excluded.is_deleted,
    updated_at = now(),
    ingestion_run_id = excluded.ingestion_run_id
