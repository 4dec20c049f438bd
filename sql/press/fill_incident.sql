-- Fills: incident with the staged calls for help.
-- Reads: staging_kiosk (accepted rows only by now).
-- Twice is safe: unique by provenance (source_id, position).
insert into incident (exhibition_id, at, incident_type_id, source_id, position)
select site_exhibition_id(s.site), s.at, s.type, s.source_id, s.row
from staging_kiosk s
where s.val = -1
on conflict (source_id, position) do nothing
