-- Fills: staging_pair with those of TeamDynamix and KeyConfigure that suit each other best: a MAC, else the serial, else the name.
-- Reads: staging_machine, staging_shared.
-- Twice is safe: who is in a pair is left out; run until it finds none, which comes to the same as the best pair first.
insert into staging_pair (tdx_key, card_key)
with left_over as (
    select m.*
    from staging_machine m
    left join staging_pair p on p.tdx_key = m.record_key
    where m.source_system = 'tdx'
      and p.tdx_key is null
    union all
    select m.*
    from staging_machine m
    left join staging_pair p on p.card_key = m.record_key
    where m.source_system = 'key_client'
      and p.card_key is null
),
recognised as (
    select m.source_system, m.record_key, m.place, m.is_deleted, 1 as rank, mac as value
    from left_over m
    cross join lateral unnest(mac_addresses) mac
    left join staging_shared s on s.kind = 'mac' and s.value = mac and (m.is_deleted or not s.is_deleted)
    where s.value is null
    union all
    select m.source_system, m.record_key, m.place, m.is_deleted, 2, m.serial_number
    from left_over m
    left join staging_shared s on s.kind = 'serial' and s.value = m.serial_number and (m.is_deleted or not s.is_deleted)
    where m.serial_number is not null
      and s.value is null
    union all  -- of equal names the first meets the first, the second the second
    select source_system, record_key, place, is_deleted, 3,
           computer_name || ' '
               || row_number() over (partition by source_system, computer_name order by place)
    from left_over
    where computer_name is not null
),
pair as (
    select t.record_key as tdx_key,
           k.record_key as card_key,
           t.place as tdx_place,
           k.place as card_place,
           t.is_deleted::int + k.is_deleted::int as gone,
           min(rank) as rank
    from recognised t
    join recognised k using (rank, value)
    where t.source_system = 'tdx'
      and k.source_system = 'key_client'
    group by 1, 2, 3, 4, 5
),
possible as (
    select tdx_key,
           card_key,
           row_number() over (partition by tdx_key order by gone, rank, tdx_place, card_place) as tdx_choice,
           row_number() over (partition by card_key order by gone, rank, tdx_place, card_place) as card_choice
    from pair
)
select tdx_key, card_key
from possible
where tdx_choice = 1
  and card_choice = 1
on conflict (tdx_key) do nothing
