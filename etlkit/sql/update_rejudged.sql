-- Fills: meta.rejected_records: what is good now is resolved, what has other reasons now shows them.
-- Reads: staging_rejudged.
-- Twice is safe: it computes the same again; a resolved row is left alone.
update meta.rejected_records r
set resolved_at = case when cardinality(s.reasons) = 0 then now() end,
    reasons = case when cardinality(s.reasons) = 0 then r.reasons else s.reasons end,
    last_seen = now()
from staging_rejudged s
where r.source = s.source
  and r.position = s.position
  and r.resolved_at is null
