-- Fills: nothing; keeps everybody else from the event tables and from those that they refer to, until the commit.
-- Reads: nothing.
-- Twice is safe: a lock that is held is held.
-- Dropping a foreign key locks both sides; taken one by one the locks could meet a reader's in a deadlock.
lock table review, incident, event_source, exhibition, rating_desc, incident_type in access exclusive mode;

select lock_hours()
