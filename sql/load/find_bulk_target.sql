-- Fills: nothing.
-- Reads: whether review and incident are empty, and they and the tables they refer to belong to the current user.
-- Twice is safe: it only reads.
select not exists (select from review)
       and not exists (select from incident)
       and (
           select bool_and(pg_has_role(c.relowner, 'usage'))
           from pg_class c
           where c.oid in ('review'::regclass, 'incident'::regclass, 'event_source'::regclass,
                         'exhibition'::regclass, 'rating_desc'::regclass, 'incident_type'::regclass)
       )
