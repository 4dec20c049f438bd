-- Reads: the ledger's Kafka partitions, those that grew last first.
select concat(topic, ' [', partition, ']') as partition,
       left(cluster, 8) as cluster,
       rows as messages,
       next_offset,
       loaded_at as last_stored
from event_source
where kind = 'kafka'
order by loaded_at desc, topic, partition
limit %(limit)s
