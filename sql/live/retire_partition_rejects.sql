-- Fills: meta.rejected_records.source of a partition whose topic was re-created, as in event_source.
-- Reads: meta.rejected_records.
-- Twice is safe: the second time there is no reject of that source.
update meta.rejected_records
set source = %(retired)s
where source = %(source)s
