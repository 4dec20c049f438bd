-- Fills: nothing.
-- Reads: rating_desc.
-- Twice is safe: it only reads.
select rating_id,
       description as rating
from rating_desc
order by rating_id
