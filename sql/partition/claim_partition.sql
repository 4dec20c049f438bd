-- Fills: event_source with the partition's row, or takes the next fencing token where there is one.
-- Reads: event_source.
-- Twice is safe: the second time only the token grows, which shuts out whoever holds the one before.
insert into event_source as s (kind, cluster, topic, partition, next_offset, fencing_token, topic_id, run_id)
values ('kafka', %(cluster)s, %(topic)s, %(partition)s, %(first_offset)s, 1, %(topic_id)s, %(run_id)s)
on conflict (cluster, topic, partition) do update
    set fencing_token = s.fencing_token + 1,
        topic_id = coalesce(s.topic_id, excluded.topic_id)
returning source_id, fencing_token, next_offset, last_message, topic_id
