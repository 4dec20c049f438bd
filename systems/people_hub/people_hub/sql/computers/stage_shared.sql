-- Fills: the TEMP table staging_shared with the MACs and serials that two records of one source have: they match nobody.
-- Reads: staging_machine.
-- Twice is safe: one a transaction; living records are judged among themselves, and so are those that are gone.
create temporary table staging_shared on commit drop as
select distinct 'mac' as kind, mac as value, is_deleted
from staging_machine
cross join lateral unnest(mac_addresses) mac
group by source_system, mac, is_deleted
having count(*) > 1
union all
select distinct 'serial', serial_number, is_deleted
from staging_machine
where serial_number is not null
group by source_system, serial_number, is_deleted
having count(*) > 1
