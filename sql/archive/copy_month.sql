-- Fills: nothing; hands the client the reviews of a span of time as CSV, oldest first. at is UTC without fractions.
-- Reads: review, exhibition, event_source.
-- Twice is safe: the same rows are the same bytes.
copy (
    select to_char(r.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as at,
           to_char(r.at, 'US')::integer as microsecond,
           e.exhibition_code as exhibition,
           r.exhibition_id,
           r.rating_id,
           source_name(s) as source,
           r.position,
           r.source_id,
           r.review_id
    from review r
    join exhibition e using (exhibition_id)
    join event_source s using (source_id)
    where r.at >= %(begins_at)s::timestamptz
      and r.at < %(ends_at)s::timestamptz
    order by r.at, r.source_id, r.position
) to stdout with (format csv, header)
