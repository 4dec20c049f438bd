-- Fills: staging_reject with the staged rows that the database knows to be bad; they leave staging_kiosk.
-- Reads: staging_kiosk, exhibition, rating_desc, incident_type, staging_object and staging_text.
-- Twice is safe: the second time finds no bad row. The reasons and their order are those of museum/kiosk.py; a review that only the
-- archive's border is against stays for reject_archived.sql, which knows what lies there.
-- Where the transform did not keep the original text, raw is empty; list_textless_rejects.sql finds these rows.
with judged as (
    select s.ctid as staged,
           array_remove(array[
               case when s.val <> -1 and s.at < (select archive_border()) then 'archived' end,
               case when s.at > %(latest_at)s::timestamptz then 'future_at' end,
               case when e.exhibition_id is null then 'unknown_site' end,
               case when s.val <> -1 and r.rating_id is null then 'bad_val' end,
               case when s.val = -1 and s.type is null then 'missing_type' end,
               case
                   when s.val = -1 and s.type is not null and t.incident_type_id is null then 'bad_type'
                   when s.val <> -1 and r.rating_id is not null and s.type is not null then 'bad_type'
               end
           ], null) as reasons
    from staging_kiosk s
    left join exhibition e on e.exhibition_id = site_exhibition_id(s.site)
    left join rating_desc r on r.rating_id = s.val
    left join incident_type t on t.incident_type_id = s.type
    where s.at > %(latest_at)s::timestamptz
       or e.exhibition_id is null
       or (s.val <> -1 and (r.rating_id is null or s.type is not null))
       or (s.val = -1 and t.incident_type_id is null)
),
bad as (
    delete from staging_kiosk s
    using judged j
    where s.ctid = j.staged
    returning s.source_id, s.row, j.reasons
)
insert into staging_reject (source, position, raw, reasons)
select o.source,
       b.row::text,
       coalesce(k.raw, ''),
       b.reasons
from bad b
join staging_object o on o.source_id = b.source_id
left join staging_text k on k.source_id = b.source_id and k.row = b.row
