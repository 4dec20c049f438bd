-- Fills: known_press, the texts of val and type that the rules call a good press, and what they mean.
-- Reads: the combinations that the program tried on the rules.
-- Twice is safe: it replaces the table.
create or replace table known_press as
select unnest($val_texts::varchar[]) as val_text,
       unnest($type_texts::varchar[]) as type_text,
       unnest($vals::smallint[]) as val,
       unnest($types::smallint[]) as type
