"""Each clause of the live statements, shown by neighbours: another topic, an older token, a message not yet stored.

On a real Postgres and without Kafka, so that a clause that is missing is noticed in a second.
"""

from __future__ import annotations

import json
import struct
import threading
from contextlib import ExitStack, closing, suppress
from uuid import UUID

import psycopg2
import pytest
from museum_case import PROJECT_DIR

from etlkit.locks import lock_key
from etlkit.postgres import connect, fetch_dicts, run_file
from museum.live.batch import remove_stored
from museum.live.claims import Claim, Fenced, Place, store_offsets
from museum.live.session import count_open_rejects, read_run_counts
from museum.live.topic_identity import LiveMessage

OURS, OTHERS = UUID(int=1), UUID(int=2)
PLACE = Place("c", "t", 0)
NEIGHBOURS = (Place("c", "t", 1), Place("c", "u", 0), Place("d", "t", 0))
PLACES = (PLACE, *NEIGHBOURS)
RAW = b"?"
COUNTS = {"run_id": str(OURS), "processed": 3, "created": 2}


@pytest.fixture
def cursor(database):
    """A transaction in a museum that knows two exhibitions, and whose staging tables are made."""
    with closing(connect(database, "guards")) as connection, connection.cursor() as opened:
        opened.execute(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "values (1, 'EXH_00', 'Room 0'), (2, 'EXH_01', 'Room 1')"
        )
        run(opened, "create_staging_kiosk")
        run_file(opened, PROJECT_DIR / "etlkit" / "sql" / "create_staging_reject.sql")
        yield opened


def run(cursor, name, **parameters):
    return run_file(cursor, statement(name), parameters)


def statement(name):
    (path,) = (PROJECT_DIR / "sql").glob(f"*/{name}.sql")
    return path


def ask(cursor, statement, *parameters):
    cursor.execute(statement, parameters)
    return cursor.fetchall()


def add_partitions(cursor, *places, next_offset=10, token=1):
    """Write partitions into the ledger; return their numbers there."""
    values = [(*place, next_offset, token, f"last of {place.source}", str(OTHERS)) for place in places]
    return [
        ask(
            cursor,
            "insert into event_source "
            "(kind, cluster, topic, partition, next_offset, fencing_token, last_message, run_id) "
            "values ('kafka', %s, %s, %s, %s, %s, %s, %s) returning source_id",
            *value,
        )[0][0]
        for value in values
    ]


def ledger(cursor):
    return ask(cursor, "select source_id, next_offset, last_message from event_source order by source_id")


def stage(cursor, source_id, *rows, val=3, kind=None, site=0):
    for row in rows:
        cursor.execute(
            "insert into staging_kiosk (at, site, val, type, source_id, row) values (now(), %s, %s, %s, %s, %s)",
            (site, val, kind, source_id, row),
        )


def store(cursor, table, code, source_id, *positions):
    for position in positions:
        cursor.execute(
            f"insert into {table} (exhibition_id, at, {code}, source_id, position) values (1, now(), 1, %s, %s)",
            (source_id, position),
        )


def add_reject(cursor, source, position, *, raw=RAW, reason="bad_val", resolved=None, run_id=OURS):
    cursor.execute(
        "insert into meta.rejected_records (source, position, raw, reasons, run_id, resolved_at) "
        "values (%s, %s, %s, %s, %s, %s)",
        (source, position, raw, [reason], str(run_id), resolved),
    )


def add_runs(cursor, *run_ids, system="museum", entity="live", status="running"):
    for run_id in run_ids:
        cursor.execute(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, status) values (%s, %s, %s, %s)",
            (str(run_id), system, entity, status),
        )


def claim_of(place, source_id, token):
    return Claim(place, 0, source_id, token, 10, 10, None, None, 10)


def message(place, offset):
    return LiveMessage(place.partition, offset, RAW, None)


def test_a_claim_takes_the_next_token_of_its_partition_and_keeps_the_topics_id(cursor):
    values = {**PLACE._asdict(), "first_offset": 3, "run_id": str(OURS)}
    run(cursor, "claim_partition", **values, topic_id=None)
    number = cursor.fetchone()[0]
    run(cursor, "claim_partition", **values, topic_id="first")
    assert cursor.fetchone() == (number, 2, 3, None, "first")
    run(cursor, "claim_partition", **values, topic_id="second")
    assert cursor.fetchone() == (number, 3, 3, None, "first")


def test_offsets_move_for_their_partition_only_and_never_back(cursor):
    numbers = add_partitions(cursor, PLACE, *NEIGHBOURS)
    places = (PLACE, NEIGHBOURS[0])
    claims = {place.partition: claim_of(place, number, 1) for place, number in zip(places, numbers, strict=False)}
    before = ledger(cursor)
    store_offsets(cursor, claims, {0: message(PLACE, 19), 1: message(NEIGHBOURS[0], 4)}, {0: 10, 1: 0}, COUNTS)
    after = ledger(cursor)
    assert [(offset, last == earlier[2]) for (_, offset, last), earlier in zip(after, before, strict=True)] == [
        (20, False), (10, True), (10, True), (10, True),
    ]  # fmt: skip
    assert after[0][2] == message(PLACE, 19).fingerprint


def test_who_has_lost_a_partition_moves_no_offset_of_it(cursor):
    lost, kept = add_partitions(cursor, PLACE, NEIGHBOURS[0])
    cursor.execute("update event_source set fencing_token = 2 where source_id = %s", (lost,))
    claims = {0: claim_of(PLACE, lost, 1), 1: claim_of(NEIGHBOURS[0], kept, 1)}
    before = ledger(cursor)[0]
    with pytest.raises(Fenced):
        store_offsets(cursor, claims, {0: message(PLACE, 19), 1: message(NEIGHBOURS[0], 19)}, {0: 10, 1: 10}, COUNTS)
    assert ledger(cursor)[0] == before


@pytest.mark.parametrize(("token", "first_offset", "moved"), [(1, 15, 1), (0, 15, 0), (1, 5, 0)])
def test_a_gap_is_skipped_by_its_owner_and_forward_only(cursor, token, first_offset, moved):
    first, *_ = add_partitions(cursor, *PLACES)
    before = ledger(cursor)
    assert run(cursor, "skip_deleted", source_id=first, token=token, first_offset=first_offset) == moved
    assert ledger(cursor) == ([(first, first_offset, None)] if moved else before[:1]) + before[1:]


def test_a_partition_is_retired_under_its_own_next_number(cursor):
    retired = (Place("c", "t#1", 0), Place("d", "t#1", 0), Place("c", "t#1", 1), Place("c", "u#1", 0))
    add_partitions(cursor, *PLACES, *retired)
    assert run(cursor, "retire_partition", **PLACE._asdict()) == 1
    assert cursor.fetchone() == ("t#2",)
    places = {Place(*row) for row in ask(cursor, "select cluster, topic, partition from event_source")}
    assert places == {Place("c", "t#2", 0), *NEIGHBOURS, *retired}


def test_the_rejects_of_a_retired_partition_go_with_it_alone(cursor):
    add_partitions(cursor, *PLACES)
    for place in PLACES:
        add_reject(cursor, place.source, "1")
    run(cursor, "retire_partition", **PLACE._asdict())
    sources = {source for (source,) in ask(cursor, "select source from meta.rejected_records")}
    assert sources == {"kafka://c/t#1/0", *(place.source for place in NEIGHBOURS)}


@pytest.fixture
def replayable(cursor):
    """Open rejects of two partitions, beside which stand a resolved one, one too long, and a file's."""
    add_partitions(cursor, PLACE, NEIGHBOURS[0])
    add_reject(cursor, PLACE.source, "1")
    add_reject(cursor, PLACE.source, "2", reason="unknown_site")
    add_reject(cursor, PLACE.source, "3", resolved="2026-01-05")
    add_reject(cursor, PLACE.source, "4", raw=RAW * 11)
    add_reject(cursor, NEIGHBOURS[0].source, "1")
    cursor.execute(
        "insert into event_source (kind, bucket, key, content_hash, run_id) values ('file', 'bucket', 'key', 'h', %s)",
        (str(OTHERS),),
    )
    add_reject(cursor, "s3://bucket/key", "1")
    return cursor


@pytest.mark.parametrize(
    ("reason", "after", "listed"),
    [
        (None, ("", ""), [(PLACE, "1"), (PLACE, "2"), (NEIGHBOURS[0], "1")]),
        ("unknown_site", ("", ""), [(PLACE, "2")]),
        (None, (PLACE.source, "1"), [(PLACE, "2"), (NEIGHBOURS[0], "1")]),
    ],
)
def test_what_is_replayed_is_open_and_of_messages(replayable, reason, after, listed):
    values = {"reason": reason, "longest": 10, "after_source": after[0], "after_position": after[1], "limit": 10}
    found = fetch_dicts(replayable, statement("list_replayable"), values)
    assert [(row["source"], row["position"]) for row in found] == [(place.source, at) for place, at in listed]


def test_only_open_rejects_of_messages_are_counted(replayable):
    assert count_open_rejects(replayable) == 4


def test_other_live_runs_at_work_are_listed(cursor):
    add_runs(cursor, OURS, OTHERS)
    add_runs(cursor, UUID(int=3), status="failed")
    add_runs(cursor, UUID(int=4), entity="batch")
    add_runs(cursor, UUID(int=5), system="people_hub")
    run(cursor, "list_running_runs", run_id=str(OURS))
    assert cursor.fetchall() == [(str(OTHERS),)]


def test_a_run_counts_for_itself(cursor):
    add_runs(cursor, OTHERS, OURS)
    store_offsets(cursor, {}, {}, {}, COUNTS)
    run(cursor, "update_run", metadata='{"a": 1}', run_id=str(OURS))
    assert read_run_counts(cursor, OURS) == (3, 2)
    other = ask(cursor, "select records_processed, metadata from meta.ingestion_runs where run_id = %s", str(OTHERS))
    assert other == [(0, {})]


@pytest.mark.parametrize(("table", "code"), [("review", "rating_id"), ("incident", "incident_type_id")])
def test_only_the_message_that_is_stored_leaves_the_staging(cursor, table, code):
    one, two = add_partitions(cursor, *PLACES[:2])
    store(cursor, table, code, one, 1)
    store(cursor, table, code, two, 2)
    stage(cursor, one, 1, 2)
    stage(cursor, two, 1, 2)
    assert remove_stored(cursor) == (2, 0)
    assert ask(cursor, "select source_id, row from staging_kiosk order by 1") == [(one, 2), (two, 1)]


@pytest.mark.parametrize(("table", "code"), [("review", "rating_id"), ("incident", "incident_type_id")])
def test_only_the_reject_whose_message_is_stored_leaves_the_staging(cursor, table, code):
    one, two = add_partitions(cursor, *PLACES[:2])
    store(cursor, table, code, one, 1)
    store(cursor, table, code, two, 2)
    for place in PLACES[:2]:
        for position in ("1", "2"):
            cursor.execute("insert into staging_reject values (%s, %s, %s, '{}')", (place.source, position, RAW))
    assert remove_stored(cursor) == (2, 0)
    left = ask(cursor, "select source, position from staging_reject order by 1")
    assert left == [(PLACE.source, "2"), (NEIGHBOURS[0].source, "1")]


def test_only_the_reject_that_is_good_now_is_resolved(cursor):
    one, _ = add_partitions(cursor, *PLACES[:2])
    for place in PLACES[:2]:
        add_reject(cursor, place.source, "1")
    add_reject(cursor, PLACE.source, "2")
    add_reject(cursor, PLACE.source, "3", resolved="2026-01-05")
    stage(cursor, one, 1, 3)
    assert remove_stored(cursor) == (0, 0)
    left = ask(cursor, "select source, position from meta.rejected_records where resolved_at is null order by 1, 2")
    assert left == [(PLACE.source, "2"), (NEIGHBOURS[0].source, "1")]


def test_a_call_for_help_is_told_once_with_its_own_names(cursor):
    one, _ = add_partitions(cursor, *PLACES[:2])
    stage(cursor, one, 7, val=-1, kind=1, site=1)
    stage(cursor, one, 8)
    cursor.execute("listen museum_incident")
    assert run(cursor, "notify_incident") == 1
    cursor.connection.commit()
    cursor.connection.poll()
    (told,) = (json.loads(notice.payload) for notice in cursor.connection.notifies)
    assert (told["incident_type"], told["exhibition_name"]) == ("emergency", "Room 1")
    assert (told["source"], told["position"]) == (PLACE.source, 7)


class TestSilentHolder:
    """Sessions that hold a lock, its neighbours, and who is ended."""

    NAME = "museum:live:c/t/0"

    @pytest.fixture
    def session(self, database, empty_database):
        """Return a function that opens a session which holds something, and says its process; all end with the test."""
        with ExitStack() as stack:

            def opened(take, *values, elsewhere=False):
                settings = empty_database if elsewhere else database
                connection = stack.enter_context(closing(connect(settings, "holder")))
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(f"select {take}", values)
                return connection

            yield opened

    def end(self, cursor, silence):
        cursor.connection.commit()
        return run(cursor, "end_silent_holder", key=lock_key(self.NAME), silence=silence)

    def test_the_holder_is_ended_and_nobody_beside_it(self, cursor, session):
        key = lock_key(self.NAME)
        session("pg_advisory_lock(%s)", key)
        neighbours = [
            session("pg_advisory_lock(%s)", lock_key("another")),
            session("pg_advisory_lock(%s, %s)", *struct.unpack(">ii", key.to_bytes(8, "big", signed=True))),
            session("pg_advisory_lock(%s)", key, elsewhere=True),
        ]
        assert self.end(cursor, "0 seconds") == 1
        for neighbour in neighbours:
            with neighbour.cursor() as asking:
                asking.execute("select 1")

    def test_a_holder_that_spoke_just_now_is_not_ended(self, cursor, session):
        session("pg_advisory_lock(%s)", lock_key(self.NAME))
        assert self.end(cursor, "1 hour") == 0

    def test_a_holder_at_work_is_not_ended(self, cursor, session):
        work = session("pg_advisory_lock(%s)", lock_key("another"))
        holder = session("pg_advisory_lock(%s)", lock_key(self.NAME))
        values = ("select pg_advisory_lock(%s)", (lock_key("another"),))
        working = threading.Thread(target=holder.cursor().execute, args=values)
        working.start()
        self.wait_until(cursor, holder, "advisory")
        try:
            assert self.end(cursor, "0 seconds") == 0
        finally:
            work.close()
            working.join()

    def test_a_holder_that_hangs_amid_a_copy_is_ended(self, cursor, session):
        holder = session("pg_advisory_lock(%s)", lock_key(self.NAME))
        release = threading.Event()

        class Hanging:
            def read(self, size):
                release.wait()
                return b""

        with holder.cursor() as copying:
            copying.execute("create temporary table t (a text)")

            def copy():
                with suppress(psycopg2.Error):
                    copying.copy_expert("copy t from stdin", Hanging())

            hanging = threading.Thread(target=copy)
            hanging.start()
            self.wait_until(cursor, holder, "ClientRead")
            try:
                assert self.end(cursor, "0 seconds") == 1
            finally:
                release.set()
                hanging.join()

    def wait_until(self, cursor, holder, event):
        """Wait until a holder at work waits for something itself."""
        statement = "select state, wait_event from pg_stat_activity where pid = %s"
        while ask(cursor, statement, holder.info.backend_pid) != [("active", event)]:
            cursor.connection.commit()
