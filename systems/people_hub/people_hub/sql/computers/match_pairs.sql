-- Fills: staging_pair with those of TeamDynamix and KeyConfigure that suit each other best: a MAC, else the serial, else the name.
-- Reads: staging_machine, staging_shared.
-- Twice is safe: who is in a pair is left out; run until it finds none, which comes to the same as the best pair first.
insert into staging_pair (tdx_key, card_key)
with left_over as (
    select *
    from staging_machine m
    where not exists (
        select
        from staging_pair p
        where (m.source_system = 'tdx' and p.tdx_key = m.record_key)
           or (m.source_system = 'key_client' and p.card_key = m.record_key)
    )
),
recognised as (
    select source_system, record_key, place, is_deleted, 1 as rank, mac as value
    from left_over m
    cross join lateral unnest(mac_addresses) mac
    where not exists (
        select from staging_shared s where s.kind = 'mac' and s.value = mac and (m.is_deleted or not s.is_deleted)
    )
    union all
    select source_system, record_key, place, is_deleted, 2, serial_number
    from left_over m
    where serial_number is not null
      and not exists (
          select
          from staging_shared s
          where s.kind = 'serial' and s.value = m.serial_number and (m.is_deleted or not s.is_deleted)
      )
    union all
    select source_system, record_key, place, is_deleted, 3, computer_name
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
