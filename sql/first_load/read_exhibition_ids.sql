-- Reads: exhibition, for the id of each of the given sites that has one.
select s.site, e.exhibition_id
from unnest(%(sites)s::integer[]) as s (site)
join exhibition e on e.exhibition_id = site_exhibition_id(s.site)
