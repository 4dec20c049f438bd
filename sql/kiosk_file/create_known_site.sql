-- Fills: known_site, the texts of the sites that have an exhibition.
-- Reads: the sites that the program gives.
-- Twice is safe: it replaces the table.
create or replace table known_site as
select unnest($site_texts::varchar[]) as site_text,
       unnest($sites::integer[]) as site
