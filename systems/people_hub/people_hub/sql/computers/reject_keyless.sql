-- Fills: staging_reject with living records of assets, stale ones, whose key is no number.
-- Reads: staging_stale_head, silver.tdx_assets, bronze.raw_entities.
-- Twice is safe: kept once at its position.
insert into staging_reject (source, position, raw, reasons)
select 'silver/computer',
       s.stream || ' ' || s.external_id,
       convert_to(r.raw_data::text, 'UTF8'),
       array['missing_key']
from staging_stale_head s
join bronze.raw_entities r on r.raw_id = s.content_raw_id
join silver.tdx_assets t on t.external_id = s.external_id and t.tdx_asset_id is null
where s.stream = 'tdx/asset'
  and not s.is_deleted
