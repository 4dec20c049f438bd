-- Fills: staging_reject with the malformed values of the staged records: they stay out of silver, the records do not.
-- Reads: staging_record.
-- Twice is safe: kept once at its record's key.
insert into staging_reject (source, position, raw, reasons)
select %(source)s, record_key, convert_to(malformed::text, 'UTF8'), array['malformed_email']
from staging_record
where malformed is not null
