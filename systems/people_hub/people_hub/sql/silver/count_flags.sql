-- Fills: nothing.
-- Reads: staging_record.
-- Twice is safe: it only reads.
select flag, count(*)
from staging_record
cross join jsonb_array_elements_text(quality_flags) flag
group by flag
order by flag
