-- Reads: how many presses there are, and how many objects were loaded and when the last one; by indexes and counts.
select (select coalesce(sum(reviews), 0)::bigint from review_tally) as reviews,
       (select coalesce(sum(incidents), 0)::bigint from incident_tally) as incidents,
       (select max(loaded_at) from event_source where kind = 'file') as latest_file,
       (select count(*) from event_source where kind = 'file') as files
