-- Fills: nothing.
-- Reads: the exhibition's id of each of the given sites.
-- Twice is safe: it only reads.
select site, site_exhibition_id(site)
from unnest(%(sites)s::integer[]) as site
