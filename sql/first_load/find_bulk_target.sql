-- Reads: whether the event tables are empty, with nothing in the archive either, and they and those they refer to are the current user's to build again.
select not exists (select from review)
       and not exists (select from incident)
       and not exists (select from archived_month)
       and (
           select bool_and(pg_has_role(c.relowner, 'usage') and has_schema_privilege(c.relnamespace, 'create'))
           from pg_class c
           where c.oid in ('review'::regclass, 'incident'::regclass, 'event_source'::regclass,
                         'exhibition'::regclass, 'rating_desc'::regclass, 'incident_type'::regclass)
       )
