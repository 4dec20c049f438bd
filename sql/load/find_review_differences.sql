-- Fills: staging_review_difference with the hours of a span whose counts are not those of the reviews, and by how many.
-- Reads: review, review_hour and review_hour_change, in one snapshot, so that writers at work make no difference.
-- Twice is safe: the table is temporary and goes with the transaction.
-- All exhibitions are named so that the index (exhibition_id, at) finds the span.
create temporary table staging_review_difference on commit drop as
select exhibition_id, hour, rating_id, sum(reviews)::bigint as reviews
from (
    select exhibition_id, utc_hour(at) as hour, rating_id, count(*) as reviews
    from review
    where exhibition_id = any(array(select exhibition_id from exhibition))
      and at >= %(first_hour)s::timestamptz and at < %(end_hour)s::timestamptz
    group by 1, 2, 3
    union all
    select exhibition_id, hour, rating_id, -reviews
    from review_hour
    where hour >= %(first_hour)s::timestamptz and hour < %(end_hour)s::timestamptz
    union all
    select exhibition_id, hour, rating_id, -reviews
    from review_hour_change
    where hour >= %(first_hour)s::timestamptz and hour < %(end_hour)s::timestamptz
) part
group by 1, 2, 3
having sum(reviews) <> 0
