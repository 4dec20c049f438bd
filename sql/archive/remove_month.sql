-- Fills: archived_month and archived_source with a month that its file holds, which moves the archive's border behind it.
-- Reads: review, whose rows of that month go; returns how many.
-- Twice is safe: a month is archived once, the second insert is refused. Their hourly counts stay, since the border moves first.
insert into archived_month (month, ends_at, object, sha256, reviews, run_id)
select %(month)s::date, %(ends_at)s::timestamptz, %(object)s, %(sha256)s, count(*), %(run_id)s::uuid
from review
where at >= %(begins_at)s::timestamptz
  and at < %(ends_at)s::timestamptz;

insert into archived_source (source_id, month, reviews, first_position, last_position, fingerprint)
select source_id,
       %(month)s::date,
       count(*),
       min(position),
       max(position),
       bit_xor(hashtextextended(concat_ws(' ', position, extract(epoch from at), exhibition_id, rating_id), 0))
from review
where at >= %(begins_at)s::timestamptz
  and at < %(ends_at)s::timestamptz
group by source_id;

with removed as (
    delete from review
    where at >= %(begins_at)s::timestamptz
      and at < %(ends_at)s::timestamptz
    returning 1
)
select count(*)
from removed
