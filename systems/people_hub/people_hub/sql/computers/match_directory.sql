-- Fills: staging_directory_pair with the directory's computers and those of the same name: TeamDynamix's, else KeyConfigure's.
-- Reads: staging_machine, staging_joined.
-- Twice is safe: who is in a pair is left out; run until it finds none, which comes to the same as the best pair first.
insert into staging_directory_pair (ad_key, place)
with account as (
    select m.record_key, m.place, m.is_deleted, m.computer_name,
           row_number() over (partition by m.computer_name order by m.place) as number
    from staging_machine m
    left join staging_directory_pair p on p.ad_key = m.record_key
    where m.source_system = 'active_directory'
      and m.computer_name is not null
      and p.ad_key is null
),
left_over as (
    select j.*
    from staging_joined j
    left join staging_directory_pair p on p.place = j.place
    where p.place is null
),
named as (
    select place, is_deleted, 1 as rank, tdx_name as computer_name,
           row_number() over (partition by tdx_name order by place) as number
    from left_over
    where tdx_name is not null
    union all
    select place, is_deleted, 2, card_name, row_number() over (partition by card_name order by place)
    from left_over
    where card_name is not null
),
pair as (
    select a.record_key as ad_key,
           n.place,
           a.place as ad_place,
           a.is_deleted::int + n.is_deleted::int as gone,
           min(n.rank) as rank
    from account a
    join named n using (computer_name, number)
    group by 1, 2, 3, 4
),
possible as (
    select ad_key,
           place,
           row_number() over (partition by ad_key order by gone, rank, place) as ad_choice,
           row_number() over (partition by place order by gone, rank, ad_place) as computer_choice
    from pair
)
select ad_key, place
from possible
where ad_choice = 1
  and computer_choice = 1
on conflict (ad_key) do nothing
