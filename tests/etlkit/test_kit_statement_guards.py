"""Clauses of the kit's statements that only a neighbour in the tables shows: another source, another kind of lock."""

from __future__ import annotations

import struct
import threading
from contextlib import closing
from uuid import uuid4

import pytest
from kit_database import connections, emptied, made_database, rows, value

from etlkit.locks import SQL, advisory_lock, lock_key
from etlkit.postgres import connect, fetch_dicts
from etlkit.rejects import (
    Reject,
    RejectCount,
    create_rejudged_staging,
    create_staging,
    fill_rejected_records,
    stage_rejects,
    stage_rejudged,
    update_rejudged,
)

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_guards") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with connections(database) as opened:
        yield opened


def fill(connection, *rejects):
    with connection, connection.cursor() as cursor:
        create_staging(cursor)
        stage_rejects(cursor, rejects)
        return fill_rejected_records(cursor, uuid4())


def bad(source):
    return Reject(source, "1", b"2023-03-06,99,0,", ("unknown_site",))


def test_the_same_record_of_another_source_is_new(opened):
    worker = opened()
    fill(worker, bad("a"))
    assert fill(worker, bad("a"), bad("b")) == RejectCount(new=1, open_before=1)


def test_the_same_position_of_another_source_is_not_rejudged(opened):
    worker = opened()
    fill(worker, bad("a"), bad("b"))
    with worker, worker.cursor() as cursor:
        create_rejudged_staging(cursor)
        stage_rejudged(cursor, [("a", "1", ())])
        assert update_rejudged(cursor) == 1
    assert rows(worker, "select source from meta.rejected_records where resolved_at is null") == [("b",)]


def test_of_a_locks_neighbours_only_its_holder_is_named(postgres, opened):
    """Neighbours: another lock, its key as two numbers, the same lock of another database, and who waits for it."""
    holder, neighbour, waiter, asking = (opened(name) for name in ("holder", "neighbour", "waiter", "asking"))
    key = lock_key("a")
    halves = struct.unpack(">ii", key.to_bytes(8, "big", signed=True))
    with made_database(postgres, "kit_neighbour") as other, closing(connect(other, "elsewhere")) as elsewhere:
        with advisory_lock(holder, "a"), advisory_lock(elsewhere, "a"), advisory_lock(neighbour, "b"):
            value(neighbour, "select pg_advisory_lock(%s, %s)", halves)
            waiting = threading.Thread(target=value, args=(waiter, "select pg_advisory_lock(%s)", (key,)))
            waiting.start()
            while not value(asking, "select exists (select from pg_locks where not granted)"):
                asking.rollback()
            with asking, asking.cursor() as cursor:
                found = fetch_dicts(cursor, SQL / "find_lock_holder.sql", {"key": key})
        waiting.join()
    assert [row["pid"] for row in found] == [holder.info.backend_pid]
