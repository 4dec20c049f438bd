"""COPY: whatever is sent arrives as it was, in a stream, and an error leaves nothing behind."""

from __future__ import annotations

import io
import itertools
import os
import sys
import time
import tracemalloc

import psycopg2
import pytest
from kit_database import connections, emptied, made_database, rows, sql_writer, value
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from etlkit.copying import copy_blocks, copy_rows, copy_stream, savepoint, store_or_halve
from etlkit.errors import LoadError
from etlkit.postgres import load_errors

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_copying") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def sql_file(tmp_path):
    """Return a function that writes a SQL file."""
    return sql_writer(tmp_path)


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with connections(database) as opened:
        yield opened


@pytest.fixture
def copied(connection, sql_file):
    """Return a function that copies rows of number, text and bytes to the server and reads them back."""
    with connection.cursor() as cursor:
        cursor.execute("create table copied (n integer, text text, bytes bytea)")
    path = sql_file("copy copied (n, text, bytes) from stdin")

    def there_and_back(sent):
        with connection.cursor() as cursor:
            cursor.execute("truncate copied")
            count = copy_rows(cursor, path, ((n, *fields) for n, fields in enumerate(sent)))
        found = rows(connection, "select text, bytes from copied order by n")
        return count, [(text, None if data is None else bytes(data)) for text, data in found]

    return there_and_back


@pytest.mark.parametrize(
    "text", ["", "\\", "\\N", "\\.", "\\\\N", "\t", "\n", "\r", "\r\n", "\\n", "NULL", "a\tb\\\nc", "é\u2028"]
)
def test_a_hostile_text_arrives_as_it_was_sent(copied, text):
    sent = [(text, text.encode()), (None, None), ("", bytes(range(256)))]
    assert copied(sent) == (3, sent)


def test_a_row_greater_than_a_block_arrives_whole(copied):
    sent = [("ä\t\\" * 20_000, os.urandom(100_000)), ("next", b"row")]
    assert copied(sent) == (2, sent)


def test_a_single_empty_text_is_a_row(connection, sql_file):
    with connection.cursor() as cursor:
        cursor.execute("create temporary table one (text text)")
        assert copy_rows(cursor, sql_file("copy one from stdin"), [("",), ("",)]) == 2
        cursor.execute("table one")
        assert cursor.fetchall() == [("",), ("",)]


def test_numbers_truths_and_words_are_copied(connection, sql_file):
    with connection.cursor() as cursor:
        cursor.execute("create temporary table kinds (i bigint, f double precision, b boolean, words text[])")
        copy_rows(
            cursor,
            sql_file("copy kinds from stdin"),
            [(-(2**60), 0.1, True, ("bad_at", "bad_val")), (0, 1e300, False, [])],
        )
        cursor.execute("table kinds")
        assert cursor.fetchall() == [(-(2**60), 0.1, True, ["bad_at", "bad_val"]), (0, 1e300, False, [])]


def test_no_rows_are_copied_as_none(copied):
    assert copied([]) == (0, [])


def test_the_server_has_rows_before_the_last_one_is_made(connection, opened, sql_file):
    """A COPY that collected its rows first would never see the server at work."""
    worker = opened()
    seen = []

    def rows_until_seen():
        for _time in range(1_000):
            yield from [("x" * 100,)] * 100
            if value(connection, "select coalesce(max(tuples_processed), 0) from pg_stat_progress_copy"):
                seen.append(True)
                return
            time.sleep(0.005)

    with worker.cursor() as cursor:
        cursor.execute("create temporary table streamed (text text)")
        copy_rows(cursor, sql_file("copy streamed from stdin"), rows_until_seen())
    assert seen


def test_memory_does_not_grow_with_the_rows(opened, sql_file):
    with opened().cursor() as cursor:
        cursor.execute("create temporary table streamed (text text)")
        tracemalloc.start()
        try:
            count = copy_rows(
                cursor, sql_file("copy streamed from stdin"), (("x" * 2_000,) for _number in range(10_000))
            )
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == 10_000
    assert peak < 2_000_000, "20 MB were sent"


def test_rows_that_end_in_an_error_leave_nothing_behind(opened, sql_file):
    worker = opened()
    with worker, worker.cursor() as cursor:
        cursor.execute("create table streamed (n integer)")

    def broken():
        yield from ((n,) for n in range(10_000))
        raise ValueError("the source broke")

    with (
        pytest.raises((psycopg2.Error, ValueError), match="the source broke"),
        worker,
        worker.cursor() as cursor,
    ):
        copy_rows(cursor, sql_file("copy streamed from stdin"), broken())
    assert value(worker, "select count(*) from streamed") == 0


def test_a_row_that_the_server_refuses_is_told_with_its_place(opened, sql_file):
    worker = opened()
    with worker, worker.cursor() as cursor:
        cursor.execute("create table streamed (n integer)")
    with (
        pytest.raises(LoadError, match="loading: invalid input syntax for type integer"),
        load_errors("loading"),
        worker,
        worker.cursor() as cursor,
    ):
        copy_rows(cursor, sql_file("copy streamed from stdin"), [(1,), ("two",)])
    assert worker.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_a_stream_is_copied_as_it_is(connection, sql_file):
    with connection.cursor() as cursor:
        cursor.execute("create temporary table streamed (at text, site text)")
        path = sql_file("copy streamed from stdin with (format csv, header)")
        assert copy_stream(cursor, path, io.BytesIO(b'at,site\n"2023, March",4\n,\n')) == 2
        cursor.execute("table streamed")
        assert cursor.fetchall() == [("2023, March", "4"), (None, None)]


def test_blocks_of_any_size_are_copied(connection, sql_file):
    with connection.cursor() as cursor:
        cursor.execute("create temporary table blocks (number integer)")
        lines = b"".join(b"%d\n" % number for number in range(50_000))
        cuts = [0, 1, 2, 70_000, 70_000, len(lines)]
        blocks = [lines[start:end] for start, end in itertools.pairwise(cuts)]
        assert copy_blocks(cursor, sql_file("copy blocks from stdin"), iter(blocks)) == 50_000
        cursor.execute("select count(distinct number), sum(number) from blocks")
        assert cursor.fetchone() == (50_000, sum(range(50_000)))


def test_a_session_that_is_ended_during_a_copy_says_why_and_prints_nothing(opened, sql_file, capfd):
    worker, killer = opened(), opened("killer")
    hook = sys.excepthook

    def blocks():
        for number in itertools.count():
            if number == 50:
                killer.cursor().execute("select pg_terminate_backend(%s)", (worker.info.backend_pid,))
            yield b"1\n" * 4_000

    with worker.cursor() as cursor:
        cursor.execute("create temporary table endless (number integer)")
        with pytest.raises(LoadError, match="terminating connection due to administrator command"), load_errors("x"):
            copy_blocks(cursor, sql_file("copy endless from stdin"), blocks())
    assert capfd.readouterr().err == ""
    assert sys.excepthook is hook


PICKY = """
    create table picky (n integer);
    create function refuse() returns trigger language plpgsql as
    'begin if new.n %% 10 = 7 then raise exception ''seven'' using errcode = ''{code}''; end if; return new; end';
    create trigger refuse before insert on picky for each row execute function refuse()
"""


def halved(worker, code, items):
    """Store numbers of which the server refuses some; return the refused ones."""
    refused = []
    with worker, worker.cursor() as cursor:
        cursor.execute(PICKY.format(code=code).replace("%%", "%"))

        def store(part):
            with savepoint(cursor):
                cursor.execute("insert into picky select unnest(%s)", (list(part),))

        store_or_halve(items, store, lambda item, error: refused.append((item, error.pgcode)))
    return refused


@pytest.mark.parametrize("code", ["22000", "23514", "54000"])
def test_a_record_that_the_server_refuses_costs_no_other(opened, code):
    worker = opened()
    assert halved(worker, code, range(30)) == [(7, code), (17, code), (27, code)]
    assert value(worker, "select count(*) from picky") == 27


@pytest.mark.parametrize("code", ["57014", "42501", "40001"])
def test_what_no_record_is_to_blame_for_is_raised(opened, code):
    with pytest.raises(psycopg2.Error, match="seven"):
        halved(opened(), code, range(30))


def test_nothing_is_stored_of_nothing(opened):
    assert halved(opened(), "22000", []) == []
