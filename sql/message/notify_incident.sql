-- Fills: nothing; tells every session that listens on museum_incident of the staged calls for help, when they are committed.
-- Reads: staging_kiosk (new and accepted rows only by now), exhibition_info, incident_type.
-- Twice is safe: only new rows are staged; a listener knows an incident by its source and position.
select pg_notify(
    'museum_incident',
    json_build_object(
        'incident_type_id', s.type,
        'incident_type', left(t.description, 200),
        'exhibition_id', x.exhibition_id,
        'exhibition_name', left(x.exhibition_name, 200),
        'floors', left(x.floors, 200),
        'at', s.at,
        'source', source_name(e),
        'position', s.row
    )::text
)
from staging_kiosk s
join exhibition_info x on x.exhibition_id = site_exhibition_id(s.site)
join incident_type t on t.incident_type_id = s.type
join event_source e on e.source_id = s.source_id
where s.val = -1
order by s.at
