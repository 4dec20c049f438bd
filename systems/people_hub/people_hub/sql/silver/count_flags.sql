-- Reads: staging_record.
select flag, count(*)
from staging_record
cross join jsonb_array_elements_text(quality_flags) flag
group by flag
order by flag
