-- Fills: staging_reject with living records that give no department's key.
-- Reads: staging_stale_head, silver.umapi_departments, silver.tdx_departments, bronze.raw_entities.
-- Twice is safe: kept once at its position.
insert into staging_reject (source, position, raw, reasons)
select 'silver/department',
       s.stream || ' ' || s.external_id,
       convert_to(r.raw_data::text, 'UTF8'),
       array['missing_key']
from staging_stale_head s
join bronze.raw_entities r on r.raw_id = s.content_raw_id
left join silver.umapi_departments u on s.stream = 'umich_api/department' and u.external_id = s.external_id
left join silver.tdx_departments t on s.stream = 'tdx/department' and t.external_id = s.external_id
where not s.is_deleted
  and coalesce(u.dept_id, t.dept_id) is null
