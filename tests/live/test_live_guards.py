"""What guards data in the live stream's statements: each one touches its own rows, and none of those beside them.

Every table holds neighbours that differ from the row in question by one field only, so that a condition which is left
out touches one of them. No broker is needed.
"""

from __future__ import annotations

import json
import logging
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg2
import pytest
from live_case import call, press

from etlkit.errors import DataError
from etlkit.postgres import connect, run_file
from etlkit.rejects import create_rejudged_staging, create_staging
from museum.kiosk import Rules
from museum.live.batch import BatchLoad, LiveRules, remove_stored
from museum.live.claims import Claim, Fenced, Place, claim_row, store_offsets
from museum.live.live_summary import LiveSummary
from museum.live.session import count_open_rejects, read_run_counts
from museum.live.topic_identity import LiveMessage
from museum.settings import SQL

pytestmark = pytest.mark.database

OURS = Place("c", "t", 1)
NEIGHBOURS = (OURS._replace(cluster="d"), OURS._replace(topic="u"), OURS._replace(partition=0))
RUN = UUID("00000000-0000-0000-0000-000000000001")
OTHER_RUN = UUID("00000000-0000-0000-0000-000000000002")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LEDGER = """
    select cluster, topic, partition, fencing_token, next_offset, last_message, topic_id, rows
    from event_source order by source_id
"""
REJECTS = "select source, position, resolved_at is null from meta.rejected_records order by 1, 2"


def statement(name):
    """Return the path of one of the museum's statements."""
    (path,) = SQL.glob(f"*/{name}.sql")
    return path


class Store:
    """A connection to a museum of six exhibitions, and what a test says over it."""

    def __init__(self, connection):
        self.connection = connection
        self.write(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "select n + 1, 'EXH_0' || n, 'Room ' || n from generate_series(0, 5) n"
        )

    def write(self, statement, *values):
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(statement, values)

    def read(self, statement, *values):
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def run(self, name, **values):
        """Run a statement of the live stream and return its rows, or how many it touched."""
        with self.connection, self.connection.cursor() as cursor:
            count = run_file(cursor, statement(name), values)
            return cursor.fetchall() if cursor.description else count

    def take(self, place=OURS, first_offset=0, topic_id=None):
        """Take a partition over and return its claim."""
        with self.connection, self.connection.cursor() as cursor:
            source_id, token, stored, last, known_id = claim_row(cursor, place, first_offset, topic_id, RUN)
        return Claim(place, first_offset, source_id, token, stored, stored, last, known_id, stored)

    def take_all(self):
        """Take ours and its neighbours over; return ours first."""
        return [self.take(place) for place in (OURS, *NEIGHBOURS)]

    def move(self, *moves, run_id=RUN):
        """Move claims behind (claim, offset, raw) as a batch of one message each would."""
        claims = {number: claim for number, (claim, *_) in enumerate(moves)}
        last = {number: LiveMessage(number, offset, raw, None) for number, (_, offset, raw) in enumerate(moves)}
        with self.connection, self.connection.cursor() as cursor:
            counts = {"run_id": str(run_id), "processed": 5, "created": 3}
            store_offsets(cursor, claims, last, dict.fromkeys(last, 1), counts)

    def ledger(self):
        return self.read(LEDGER)

    def put_press(self, claim, position, table="review"):
        kind = "rating_id" if table == "review" else "incident_type_id"
        self.write(
            f"insert into {table} (exhibition_id, at, {kind}, source_id, position) values (1, %s, 1, %s, %s)",
            NOON, claim.source_id, position,
        )  # fmt: skip

    def reject(self, source, position, reasons=("bad_val",), resolved=False, raw=b"x"):
        self.write(
            "insert into meta.rejected_records (source, position, raw, reasons, run_id, resolved_at) "
            "values (%s, %s, %s, %s, %s, case when %s then now() end)",
            source, str(position), raw, list(reasons), str(RUN), resolved,
        )  # fmt: skip

    def stage(self, claim, position, val=3, kind=None):
        """Stage a press in the transaction under way."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "insert into staging_kiosk values (%s, 0, %s, %s, %s, %s)", (NOON, val, kind, claim.source_id, position)
            )

    def stage_reject(self, claim, position):
        """Stage a reject in the transaction under way."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "insert into staging_reject values (%s, %s, 'x', '{bad_val}')", (claim.place.source, str(position))
            )


@pytest.fixture
def store(database):
    with closing(connect(database, "test")) as connection:
        with connection, connection.cursor() as cursor:
            run_file(cursor, statement("create_staging_kiosk"))
            create_staging(cursor)
            create_rejudged_staging(cursor)
        yield Store(connection)


# ---------------------------------------------------------------------------------------------------------------------
# The ledger
# ---------------------------------------------------------------------------------------------------------------------


def test_a_partition_is_taken_over_by_its_whole_key_and_keeps_its_place(store):
    ours, *_ = store.take_all()
    assert (ours.token, ours.stored, ours.topic_id) == (1, 0, None)
    store.move((ours, 6, b"six"))
    before = store.ledger()
    again = store.take(first_offset=3, topic_id="an id")
    assert (again.source_id, again.token, again.stored, again.topic_id) == (ours.source_id, 2, 7, "an id")
    assert again.last_message == before[0][5]
    assert store.take(topic_id="another id").topic_id == "an id"
    assert store.ledger()[1:] == before[1:]


def test_offsets_move_under_our_own_token_only(store):
    before_us = store.take()
    ours = store.take()
    other = store.take(NEIGHBOURS[0])
    before = store.ledger()
    with pytest.raises(Fenced):
        store.move((other, 4, b"four"), (before_us, 9, b"nine"))
    assert store.ledger() == before
    store.move((ours, 9, b"nine"))
    assert [row[4] for row in store.ledger()] == [10, 0]


def test_offsets_move_where_they_belong_and_never_back(store):
    ours, second, *others = store.take_all()
    store.move((ours, 9, b"nine"), (second, 4, b"four"))
    after = store.ledger()
    assert [row[4] for row in after] == [10, 5, 0, 0]
    assert len({row[5] for row in after}) == 3, "two messages, and none twice"
    store.move((ours, 3, b"three"))
    assert [row[:7] for row in store.ledger()] == [row[:7] for row in after]
    assert [row[7] for row in store.ledger()] == [2, 1, 0, 0]
    store.move((others[0], 0, b"zero"), run_id=OTHER_RUN)
    runs = store.read("select run_id::text from event_source order by source_id")
    assert runs == [(str(RUN),), (str(RUN),), (str(OTHER_RUN),), (str(RUN),)]


def test_a_gap_is_skipped_under_our_own_token_and_never_back(store):
    before_us = store.take()
    ours = store.take()
    store.take(NEIGHBOURS[0])
    store.move((ours, 9, b"nine"))
    before = store.ledger()
    place = {"source_id": ours.source_id, "token": ours.token}
    assert store.run("skip_deleted", **{**place, "token": before_us.token}, first_offset=20) == 0
    assert store.run("skip_deleted", **place, first_offset=4) == 0
    assert store.ledger() == before
    same_token = store.take(NEIGHBOURS[0])
    assert same_token.token == ours.token
    before = store.ledger()
    assert store.run("skip_deleted", **place, first_offset=20) == 1
    assert store.ledger() == [(*before[0][:4], 20, None, *before[0][6:]), before[1]]


def test_a_recreated_topics_partition_alone_is_retired_and_numbered(store):
    store.take_all()
    assert store.run("retire_partition", **OURS._asdict()) == [("t#1",)]
    assert [row[:3] for row in store.ledger()] == [OURS._replace(topic="t#1"), *NEIGHBOURS]
    assert store.run("retire_partition", **OURS._asdict()) == []
    for place in (OURS, OURS._replace(topic="tt#1"), OURS._replace(topic="u#1")):
        store.take(place)
    assert store.run("retire_partition", **OURS._asdict()) == [("t#2",)]
    for place in (NEIGHBOURS[0], NEIGHBOURS[2]):  # each cluster and partition counts for itself
        assert store.run("retire_partition", **place._asdict()) == [("t#1",)]
    assert store.run("retire_partition", **NEIGHBOURS[1]._asdict()) == [("u#2",)]


def test_a_recreated_topics_rejects_alone_are_retired(store):
    store.take_all()
    for place in (OURS, *NEIGHBOURS):
        store.reject(place.source, 0)
    store.run("retire_partition", **OURS._asdict())
    sources = {source for source, *_ in store.read(REJECTS)}
    assert sources == {OURS._replace(topic="t#1").source, *(place.source for place in NEIGHBOURS)}


# ---------------------------------------------------------------------------------------------------------------------
# The run's history
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(store):
    """Two runs of the live stream."""
    for run_id in (RUN, OTHER_RUN):
        store.write(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, error_message, metadata) "
            "values (%s, 'museum', 'live', 'taken for dead', '{\"topic\": \"t\"}')",
            str(run_id),
        )
    return store


def test_a_run_counts_for_itself(runs):
    ours = runs.take()
    for offset in range(2):
        runs.move((ours, offset, b"x"))
    with runs.connection.cursor() as cursor:
        assert read_run_counts(cursor, RUN) == (10, 6)
        assert read_run_counts(cursor, OTHER_RUN) == (0, 0)


def test_a_run_reports_for_itself_and_lives(runs):
    runs.write("update meta.ingestion_runs set status = 'failed', completed_at = now()")
    runs.run("update_run", run_id=str(RUN), metadata=json.dumps({"live": 1}))
    found = runs.read(
        "select status, completed_at is null, error_message, metadata - 'reported_at' "
        "from meta.ingestion_runs order by run_id"
    )
    assert found == [
        ("running", True, None, {"topic": "t", "live": 1}), ("failed", False, "taken for dead", {"topic": "t"}),
    ]  # fmt: skip


def test_only_running_live_runs_of_others_may_be_dead(runs):
    for system, entity, status in [
        ("museum", "live", "completed"), ("museum", "batch", "running"), ("zoo", "live", "running"),
    ]:  # fmt: skip
        runs.write(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, status) values (%s, %s, %s, %s)",
            str(uuid4()), system, entity, status,
        )  # fmt: skip
    assert runs.run("list_running_runs", run_id=str(RUN)) == [(str(OTHER_RUN),)]


# ---------------------------------------------------------------------------------------------------------------------
# Messages that are read again
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["review", "incident"])
def test_only_what_is_stored_leaves_the_staged_presses(store, table):
    ours, other, *_ = store.take_all()
    store.put_press(ours, 1, table)
    store.put_press(other, 2, table)
    for claim, position in [(ours, 1), (ours, 2), (other, 1)]:
        store.stage(claim, position)
    with store.connection.cursor() as cursor:
        assert remove_stored(cursor) == (1, 0)
        cursor.execute("select source_id, row from staging_kiosk order by 1, 2")
        assert cursor.fetchall() == [(ours.source_id, 2), (other.source_id, 1)]


@pytest.mark.parametrize("table", ["review", "incident"])
def test_only_what_is_stored_leaves_the_staged_rejects(store, table):
    ours, other, *more = store.take_all()
    store.put_press(ours, 1, table)
    store.put_press(other, 2, table)
    for claim, position in [(ours, 1), (ours, 2), (other, 1), (more[0], 1), (more[1], 1)]:
        store.stage_reject(claim, position)
    with store.connection.cursor() as cursor:
        assert remove_stored(cursor) == (1, 0)
        cursor.execute("select count(*) from staging_reject where (source, position) = (%s, '1')", (OURS.source,))
        assert cursor.fetchone() == (0,)


def test_only_rejects_whose_message_is_good_now_are_resolved(store):
    ours, *_ = store.take_all()
    for place in (OURS, *NEIGHBOURS):
        store.reject(place.source, 1)
    store.reject(OURS.source, 2)
    store.reject(OURS.source, 3, resolved=True)
    resolved_at = "select resolved_at from meta.rejected_records where position = '3'"
    before = store.read(resolved_at)
    store.stage(ours, 1)
    store.stage(ours, 3)
    with store.connection.cursor() as cursor:
        assert remove_stored(cursor) == (0, 0)
        cursor.execute(REJECTS)
        still_open = {(source, position) for source, position, is_open in cursor.fetchall() if is_open}
        assert still_open == {(OURS.source, "2"), *((place.source, "1") for place in NEIGHBOURS)}
        cursor.execute(resolved_at)
        assert cursor.fetchall() == before


def test_the_open_rejects_of_messages_are_counted(store):
    store.reject(OURS.source, 1)
    store.reject(OURS.source, 2, resolved=True)
    store.reject("s3://bucket/key", 1)
    with store.connection.cursor() as cursor:
        assert count_open_rejects(cursor) == 1


def test_what_is_replayed_is_open_wanted_short_and_not_yet_seen(store):
    ours, other, *_ = store.take_all()
    store.reject(OURS.source, 1)
    store.reject(OURS.source, 2, reasons=("bad_at", "bad_val"))
    store.reject(OURS.source, 3, reasons=("bad_at",))
    store.reject(OURS.source, 4, resolved=True)
    store.reject(OURS.source, 5, raw=b"x" * 11)
    store.reject("kafka://c/gone/0", 6)
    store.reject(other.place.source, 1)
    wanted = {"reason": None, "longest": 10, "after_source": "", "after_position": "", "limit": 10}

    def listed(**changes):
        found = store.run("list_replayable", **{**wanted, **changes})
        return [(source, position, source_id) for source, position, _, _, source_id in found]

    everything = [(OURS.source, str(position), ours.source_id) for position in (1, 2, 3)]
    everything.append((other.place.source, "1", other.source_id))
    assert listed() == everything
    assert listed(reason="bad_val") == [everything[0], everything[1], everything[3]]
    assert listed(after_source=OURS.source, after_position="2") == everything[2:]
    assert listed(limit=2) == everything[:2]


def test_what_is_replayed_is_locked_meanwhile(store, database):
    store.take()
    store.reject(OURS.source, 1)
    with store.connection.cursor() as cursor, closing(connect(database, "another")) as another:
        values = {"reason": None, "longest": 10, "after_source": "", "after_position": "", "limit": 10}
        run_file(cursor, statement("list_replayable"), values)
        with another.cursor() as other_cursor, pytest.raises(psycopg2.errors.LockNotAvailable):
            other_cursor.execute("select from meta.rejected_records for update nowait")


# ---------------------------------------------------------------------------------------------------------------------
# The sum
# ---------------------------------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_batch_is_counted_by_its_own_spans(store):
    ours, other, *_ = store.take_all()
    for position in (0, 1, 2, 5, 7):
        store.put_press(ours, position)
    for position in (0, 3, 4, 9):
        store.put_press(ours, position, "incident")
    store.put_press(other, 2)
    store.put_press(other, 4, "incident")
    store.reject(OURS.source, 6)
    store.reject(OURS.source, 8)
    store.reject(OURS.source, 10, resolved=True)
    store.reject(other.place.source, 10)
    for position in (6, 10, 11):
        store.stage_reject(ours, position)
    with store.connection.cursor() as cursor:
        spans = {"source_ids": [ours.source_id] * 2, "firsts": [1, 7], "lasts": [4, 8]}
        run_file(cursor, statement("count_kept"), spans)
        assert cursor.fetchone() == (5, 1), "presses 1, 2, 3, 4 and 7, reject 6"


def test_what_became_of_a_replayed_batch_is_counted_one_by_one(store):
    ours, other, *_ = store.take_all()
    store.put_press(ours, 1)
    store.put_press(ours, 2, "incident")
    store.put_press(ours, 3)
    store.put_press(other, 4)
    store.put_press(other, 5, "incident")
    store.reject(OURS.source, 6)
    store.reject(OURS.source, 7, resolved=True)
    store.reject(other.place.source, 8)
    replayed = {
        "sources": [OURS.source] * 8, "positions": [str(position) for position in range(1, 9)],
        "source_ids": [ours.source_id] * 8, "are_good": [position != 3 for position in range(1, 9)],
    }  # fmt: skip
    assert store.run("count_replayed", **replayed) == [(2, 1)]


def test_a_new_message_that_is_there_already_is_no_new_message(store):
    """Nothing but a message that is read again may be already there: an offset that fell back is noticed."""
    claim = store.take()
    store.put_press(claim, 0)
    load = BatchLoad(store.connection, RUN, LiveRules(Rules(), lambda: NOON), logging.getLogger())
    raws = [json.dumps(message).encode() for message in (press(0), call(1, 1))]
    messages = [LiveMessage(0, offset, raw, None) for offset, raw in enumerate(raws)]
    with pytest.raises(DataError, match="the messages do not add up"):
        load.store(messages, {0: claim}, LiveSummary(), lambda: None)
    assert store.read("select count(*) from incident") == [(0,)]
    assert store.ledger()[0][4] == 0


# ---------------------------------------------------------------------------------------------------------------------
# Announcements
# ---------------------------------------------------------------------------------------------------------------------


def test_only_calls_for_help_are_announced_each_with_its_own_place(store):
    ours, other, *_ = store.take_all()
    store.write("listen museum_incident")
    store.stage(ours, 1, val=-1, kind=1)
    store.stage(other, 2, val=-1, kind=0)
    store.stage(ours, 3, val=3, kind=1)
    with store.connection, store.connection.cursor() as cursor:
        run_file(cursor, statement("notify_incident"))
    store.connection.poll()
    told = [json.loads(notice.payload) for notice in store.connection.notifies]
    assert sorted((one["position"], one["source"], one["incident_type"], one["exhibition_id"]) for one in told) == [
        (1, ours.place.source, "emergency", 1), (2, other.place.source, "assistance", 1),
    ]  # fmt: skip
