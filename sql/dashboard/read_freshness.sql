-- Reads: how many presses there are, the latest of them between two moments, and when objects were last loaded; by indexes and counts.
select (select coalesce(sum(reviews), 0)::bigint from review_tally) as reviews,
       (select coalesce(sum(incidents), 0)::bigint from incident_tally) as incidents,
       greatest(
           (select max(latest.at)
            from exhibition e
            cross join lateral (
                select max(r.at) as at
                from review r
                where r.exhibition_id = e.exhibition_id and r.at >= %(earliest)s and r.at < %(latest)s
            ) latest),
           (select max(at) from incident where at >= %(earliest)s and at < %(latest)s)
       ) as latest_press,
       (select max(loaded_at) from event_source where kind = 'file') as latest_file,
       (select count(*) from event_source where kind = 'file') as files,
       (select count(*) from meta.rejected_records where resolved_at is null) as open_rejects
