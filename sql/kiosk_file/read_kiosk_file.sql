-- Fills: kiosk, the DuckDB table of one file's rows while they are judged, numbered from 1 after the header; blank lines are no rows.
-- Reads: the file, and the lookups day, known_site and known_press.
-- Twice is safe: the table is made anew for every file.
-- Fields are read as bare text (no quoting), so a stray quote cannot swallow the rest of the file. Only rows in the
-- commonest form are understood here; for every other row val stays null, and the rules in museum/kiosk.py decide.
create or replace table kiosk (
    at_utc         timestamp,
    offset_minutes smallint,
    site           integer,
    val            smallint,
    type           smallint,
    row_number     bigint
);

insert into kiosk
with line as (
    select row_number() over () as row_number,
           "at" as at_text,
           site as site_text,
           val as val_text,
           type as type_text,
           surplus
    from read_csv(
        $path,
        columns = $columns,
        header = false,
        skip = 1,
        auto_detect = false,
        delim = ',',
        quote = '',
        escape = '',
        comment = '',
        compression = 'none',
        nullstr = chr(30),
        null_padding = true,
        strict_mode = false,
        max_line_size = 2097152,
        buffer_size = 4194304
    )
),
typed as (
    select row_number,
           case
               when regexp_full_match(at_text, '[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?')
                   then try_cast(at_text as timestamp)
               when regexp_full_match(at_text, '[0-9]{2}/[0-9]{2}/[0-9]{4} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]')
                   then try_strptime(at_text, '%d/%m/%Y %H:%M:%S')
           end as at_local,
           site_text,
           case when surplus is null then val_text end as val_text,
           type_text
    from line
),
known as (
    select t.row_number,
           t.at_local,
           case
               when d.changes_from is null or t.at_local::time < d.changes_from then d.offset_minutes
               when t.at_local::time >= d.changes_until then d.later_offset_minutes
           end as offset_minutes,
           s.site,
           p.val,
           p.type
    from typed t
    left join day d on d.day = t.at_local::date
    left join known_site s on s.site_text = t.site_text
    left join known_press p on p.val_text = t.val_text and p.type_text = t.type_text
),
judged as (
    select *,
           at_local - to_minutes(offset_minutes) as at_utc,
           val is not null
               and site is not null
               and at_utc <= $latest_at::timestamp
               and at_local >= $earliest::date
               and (not $reject_out_of_hours or at_local::time between $opening::time and $closing::time) as is_good
    from known
)
select at_utc,
       offset_minutes,
       site,
       case when is_good then val end,
       type,
       row_number
from judged
