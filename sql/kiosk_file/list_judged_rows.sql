-- Reads: judged files, one after the other in their order: the rows for one destination.
-- 'review' and 'incident' are rows that the database surely accepts, 'staging' is every other row. Times are Postgres's
-- own measure, microseconds since 2000.
select epoch_us(at_utc) - 946684800000000 as "at",
       site,
       val,
       type,
       row_number,
       file_index
from read_parquet($paths)
where case
          when at_utc > $latest_at::timestamp or not list_contains($sites::integer[], site) then 'staging'
          when val <> -1 and type is null and list_contains($ratings::smallint[], val) then 'review'
          when val = -1 and list_contains($incident_types::smallint[], type) then 'incident'
          else 'staging'
      end = $destination
