"""Who holds a partition's lock and hangs is ended; who works, waits or holds something else is not."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress

import psycopg2
import pytest

from etlkit.locks import lock_key, try_advisory_lock
from etlkit.postgres import connect, run_file
from museum.live.claims import STATEMENTS

pytestmark = pytest.mark.database

NAME = "museum:live:c/t/0"
ACTIVE = """
    select count(*) from pg_stat_activity where state = 'active' and application_name in ('ours', 'waiting')
"""


def end_silent(connection, silence="0 seconds"):
    with connection, connection.cursor() as cursor:
        return run_file(cursor, STATEMENTS / "end_silent_holder.sql", {"key": lock_key(NAME), "silence": silence})


def test_a_silent_holder_of_this_lock_is_ended(connection, database, empty_database):
    """Beside one that spoke lately, and silent holders of another lock, of another kind and in another database."""
    high, low = lock_key(NAME) >> 32, (lock_key(NAME) & 0xFFFFFFFF) - ((lock_key(NAME) & 0x80000000) << 1)
    with (
        closing(connect(database, "ours")) as ours,
        closing(connect(database, "another lock")) as another_lock,
        closing(connect(database, "another kind")) as another_kind,
        closing(connect(empty_database, "another database")) as another_database,
    ):
        assert try_advisory_lock(ours, NAME) is None
        assert try_advisory_lock(another_lock, "museum:live:c/t/1") is None
        assert try_advisory_lock(another_database, NAME) is None
        with another_kind, another_kind.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(%s, %s)", (high, low))
            assert cursor.fetchone() == (True,)
        assert end_silent(connection, "1 hour") == 0
        assert end_silent(connection) == 1
        with pytest.raises(psycopg2.Error), ours.cursor() as cursor:
            cursor.execute("select")
        for living in (another_lock, another_kind, another_database):
            with living.cursor() as cursor:
                cursor.execute("select")


def test_a_holder_at_work_and_one_who_waits_are_not_ended(connection, database):
    with closing(connect(database, "ours")) as ours, closing(connect(database, "waiting")) as waiting:
        assert try_advisory_lock(ours, NAME) is None

        def wait_for_the_lock():
            with suppress(psycopg2.Error), waiting.cursor() as cursor:
                cursor.execute("select pg_advisory_lock(%s)", (lock_key(NAME),))

        def work():
            with suppress(psycopg2.Error), ours.cursor() as cursor:
                cursor.execute("select pg_sleep(60)")

        threads = [threading.Thread(target=wait_for_the_lock), threading.Thread(target=work)]
        for thread in threads:
            thread.start()
        try:
            count = 0
            while count < 2:
                time.sleep(0.01)
                with connection, connection.cursor() as cursor:
                    cursor.execute(ACTIVE)
                    (count,) = cursor.fetchone()
            assert end_silent(connection) == 0
        finally:
            for busy in (waiting, ours):
                busy.cancel()
            for thread in threads:
                thread.join(10)
