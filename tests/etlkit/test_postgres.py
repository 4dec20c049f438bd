"""Connections, SQL files, COPY, schemas, locks and signals, on a real server."""

from __future__ import annotations

import io
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
from kit_database import META, emptied, made_database
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from pydantic import SecretStr

from etlkit.copying import copy_blocks, copy_rows, copy_stream
from etlkit.errors import ConfigError, DataError, LoadError, LockedError
from etlkit.locks import advisory_lock, lock_key
from etlkit.postgres import (
    Schema,
    apply_schema,
    commit,
    connect,
    load_errors,
    process_name,
    require_schema,
    rolled_back_on_error,
    run_file,
)
from etlkit.signals import cancelled_by_signals

pytestmark = pytest.mark.database

PROJECT_DIR = Path(__file__).resolve().parents[2]
SCHEMA = PROJECT_DIR / "schema.sql"
CATALOGUE = """
    select n.nspname, c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where n.nspname in ('public', 'meta')
    order by 1, 2, 4
"""
SLEEPER = """
import itertools
import logging
import sys
import time
from contextlib import closing
from pathlib import Path

from etlkit.command import run_command
from etlkit.copying import copy_rows
from etlkit.postgres import connect, load_errors
from etlkit.settings import DatabaseSettings, load_settings
from etlkit.signals import cancelled_by_signals


def body():
    settings = load_settings((DatabaseSettings,), {}, None)[0]
    with closing(connect(settings, "sleeper")) as connection, cancelled_by_signals(connection):
        with load_errors("sleeping"), connection, connection.cursor() as cursor:
            cursor.execute("insert into note values ('half done')")
            print("ready", flush=True)
            if sys.argv[1:]:
                copy_rows(cursor, Path(sys.argv[1]), ((str(time.sleep(0.001)),) for _number in itertools.count()))
            cursor.execute("select pg_sleep(60)")
    return 0


sys.exit(run_command(body, logging.getLogger("sleeper"), report=lambda code, text: print(code, text)))
"""


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_postgres") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def sql_file(tmp_path):
    """Return a function that writes a SQL file."""

    def write(text, name="statement.sql"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with ExitStack() as stack:
        yield lambda name="worker": stack.enter_context(closing(connect(database, name)))


def value(connection, statement, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


def rows(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def kill(connection, pid):
    """End a session from the server's side and wait until it has gone."""
    assert value(connection, "select pg_terminate_backend(%s, 10000)", (pid,))


def refusal(error, database, **changes):
    """Return the message of the error with which a connection is refused."""
    with pytest.raises(error) as caught:
        connect(database.model_copy(update=changes), "test")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Connections


def test_a_session_depends_on_no_setting_of_the_user(opened):
    connection = opened()
    for name, expected in (("timezone", "UTC"), ("datestyle", "ISO, MDY"), ("client_encoding", "UTF8")):
        assert value(connection, f"show {name}") == expected


def test_a_session_can_be_found_by_its_name(connection, opened):
    pid = opened("museum pipeline run 5f2c").info.backend_pid
    name = value(connection, "select application_name from pg_stat_activity where pid = %s", (pid,))
    assert name == "museum pipeline run 5f2c"


def test_a_long_name_is_cut(opened):
    assert value(opened("x" * 100), "show application_name") == "x" * 63


def test_a_wrong_password_is_a_matter_of_configuration(database):
    message = refusal(ConfigError, database, db_password=SecretStr("hunter22"))
    assert f"etl@127.0.0.1:{database.db_port}/{database.db_name}" in message
    assert "password authentication failed" in message
    assert "Check DB_NAME, DB_USER and DB_PASSWORD. Nothing was touched." in message
    assert "hunter22" not in message


def test_an_absent_password_is_a_matter_of_configuration(database):
    assert "no password supplied" in refusal(ConfigError, database, db_password=SecretStr(""))


def test_an_unknown_database_is_a_matter_of_configuration(database):
    assert 'database "atlantis" does not exist' in refusal(ConfigError, database, db_name="atlantis")


def test_an_unknown_user_is_a_matter_of_configuration(database):
    assert 'for user "nobody-here"' in refusal(ConfigError, database, db_user="nobody-here")


def test_a_server_that_is_down_is_a_failure(database):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        message = refusal(LoadError, database, db_port=bound.getsockname()[1])
    assert "cannot reach etl@127.0.0.1" in message
    assert "Connection refused" in message
    assert "Check DB_HOST, DB_PORT, DB_SSLMODE and that the server is up. Nothing was loaded." in message


def test_a_socket_without_a_server_is_a_failure(database, tmp_path):
    assert "No such file or directory" in refusal(LoadError, database, db_host=str(tmp_path))


def test_a_server_without_tls_is_refused_where_tls_is_required(database):
    message = refusal(LoadError, database, db_sslmode="require")
    assert "SSL was required" in message
    assert "DB_SSLMODE" in message


def test_a_process_name_leads_to_its_run():
    name = process_name("museum pipeline", "5f2c1234-0000-4000-8000-000000000000")
    assert name == f"museum pipeline run 5f2c1234 pid {os.getpid()}"


# Errors


def test_an_error_of_the_server_says_what_was_being_done(opened):
    connection = opened()
    with (
        pytest.raises(LoadError) as caught,
        load_errors("counting visitors"),
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select 1 / 0")
    assert str(caught.value) == (
        "counting visitors: division by zero (DIVISION_BY_ZERO). The transaction was rolled back, nothing was loaded."
    )
    assert isinstance(caught.value.__cause__, psycopg2.Error)


def test_an_error_with_a_code_of_its_own_is_told_too(opened):
    statement = "do $$ begin raise exception 'closed on Mondays' using errcode = 'MU001', hint = 'come back'; end $$"
    with pytest.raises(LoadError) as caught, load_errors("opening"), opened().cursor() as cursor:
        cursor.execute(statement)
    assert str(caught.value).startswith("opening: closed on Mondays. The transaction")


def test_a_connection_that_dies_is_a_failure_in_one_line(connection, opened):
    victim = opened()
    kill(connection, victim.info.backend_pid)
    with pytest.raises(LoadError) as caught, load_errors("loading"), victim.cursor() as cursor:
        cursor.execute("select 1")
    assert str(caught.value).startswith("loading: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [DataError("shrunk"), KeyboardInterrupt(), ValueError("else")])
def test_what_is_no_error_of_the_server_passes_unchanged(error):
    with pytest.raises(type(error)) as caught, load_errors("loading"):
        raise error
    assert caught.value is error


# SQL files


def test_a_file_returns_how_many_rows_it_touched(connection, sql_file):
    with connection.cursor() as cursor:
        assert run_file(cursor, sql_file("create table n as select generate_series(1, 5) as n")) == 5
        assert run_file(cursor, sql_file("update n set n = n where n > %(least)s"), {"least": 3}) == 2
        assert run_file(cursor, sql_file("delete from n where n > 10")) == 0


def test_a_file_may_contain_percent_signs_when_it_takes_no_parameters(connection, sql_file):
    with connection.cursor() as cursor:
        assert run_file(cursor, sql_file("select 1 where 'é 5 %' like '%5 %'")) == 1


def test_a_parameter_is_a_value_and_never_sql(connection, sql_file):
    with connection.cursor() as cursor:
        run_file(cursor, sql_file("select %(text)s"), {"text": "'; drop schema meta cascade; --"})
        assert cursor.fetchone() == ("'; drop schema meta cascade; --",)
    assert value(connection, "select to_regclass('meta.ingestion_runs') is not null")


# COPY


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


# Transactions


def test_an_error_gives_the_transaction_up_at_once(opened):
    worker = opened()
    worker.cursor().execute("select 1")
    with pytest.raises(ValueError, match="x"), rolled_back_on_error(worker):
        int("x")
    assert worker.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_a_commit_on_a_session_that_has_gone_promises_nothing(opened):
    worker, killer = opened(), opened("killer")
    with worker.cursor() as cursor:
        cursor.execute("select 1")
        killer.cursor().execute("select pg_terminate_backend(%s)", (worker.info.backend_pid,))
        with pytest.raises(LoadError, match="only the server knows"):
            commit(worker)


def test_a_commit_that_the_server_refuses_is_the_server_s_error(opened):
    worker = opened()
    with worker.cursor() as cursor:
        cursor.execute("create temporary table once (n integer unique deferrable initially deferred)")
        cursor.execute("insert into once values (1), (1)")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            commit(worker)


# Schemas


def test_the_schema_contains_the_kits_part_to_the_letter():
    assert META.read_text(encoding="utf-8") in SCHEMA.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [SCHEMA, META], ids=["schema.sql", "meta.sql"])
def test_a_schema_applied_twice_is_applied_once(empty_database, path):
    with closing(connect(empty_database, "test")) as connection:
        apply_schema(connection, path)
        with connection, connection.cursor() as cursor:
            cursor.execute("insert into meta.schema_version (system, version) values ('kept', 7)")
        catalogue = rows(connection, CATALOGUE)
        versions = rows(connection, "table meta.schema_version")
        connection.rollback()
        apply_schema(connection, path)
        assert rows(connection, CATALOGUE) == catalogue
        assert rows(connection, "table meta.schema_version") == versions
    assert any(row[1] == "ingestion_runs" for row in catalogue)


@pytest.mark.parametrize("frame", ["{}", "begin;\n{}\ncommit;"], ids=["plain", "with its own begin and commit"])
def test_a_schema_broken_in_the_middle_leaves_nothing(empty_database, sql_file, frame):
    path = sql_file(
        frame.format("create table first (n integer);\nselect 1 / 0;\ncreate table last (n integer);"), "broken.sql"
    )
    with closing(connect(empty_database, "test")) as connection:
        with pytest.raises(LoadError, match=r"^applying broken\.sql: division by zero"):
            apply_schema(connection, path)
        assert connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        assert rows(connection, CATALOGUE) == []


def test_the_museums_schema_is_all_or_nothing(empty_database, sql_file):
    text = SCHEMA.read_text(encoding="utf-8")
    places = [found.start() for found in re.finditer(r"^create table", text, re.MULTILINE)]
    middle = places[len(places) // 2]
    path = sql_file(f"{text[:middle]}select 1 / 0;\n{text[middle:]}", "schema.sql")
    with closing(connect(empty_database, "test")) as connection:
        with pytest.raises(LoadError, match="division by zero"):
            apply_schema(connection, path)
        assert rows(connection, CATALOGUE) == []
        assert not value(connection, "select exists (select from pg_namespace where nspname = 'meta')")


def check_schema(connection, version):
    require_schema(connection, Schema("kit", version, "python load.py --apply-schema"))


def set_version(connection, version, system="kit"):
    with connection, connection.cursor() as cursor:
        cursor.execute("insert into meta.schema_version (system, version) values (%s, %s)", (system, version))


def test_a_database_without_any_schema_is_refused_with_the_command_to_run(empty_database):
    with (
        closing(connect(empty_database, "test")) as connection,
        pytest.raises(ConfigError, match=r"no kit schema yet\. Run once: python load\.py --apply-schema\. Nothing"),
    ):
        check_schema(connection, 1)


def test_the_schema_of_another_system_does_not_count(opened):
    worker = opened()
    set_version(worker, 5, "museum")
    with pytest.raises(ConfigError, match="no kit schema yet"):
        check_schema(worker, 1)


def test_an_older_schema_is_refused_with_the_command_to_run(opened):
    worker = opened()
    set_version(worker, 2)
    with pytest.raises(ConfigError, match=r"has version 2 of the kit schema, this program needs 3") as caught:
        check_schema(worker, 3)
    assert "Upgrade it with: python load.py --apply-schema. Nothing was touched." in str(caught.value)


@pytest.mark.parametrize("version", [3, 4])
def test_the_same_schema_and_a_newer_one_will_do(opened, version):
    worker = opened()
    set_version(worker, version)
    check_schema(worker, 3)
    assert worker.info.transaction_status == TRANSACTION_STATUS_IDLE


# Locks


def assert_free(connection, name="a"):
    with advisory_lock(connection, name):
        pass


def test_the_key_of_a_lock_is_the_same_in_every_version():
    assert lock_key("museum:batch") == -1643164476775265190


@pytest.mark.parametrize("name", ["a", "museum:batch"], ids=["positive key", "negative key"])
def test_who_comes_second_is_told_who_holds_the_lock(opened, name):
    holder, second = opened("first program"), opened("second program")
    with advisory_lock(holder, name), pytest.raises(LockedError) as caught:
        assert_free(second, name)
    assert str(caught.value).startswith(
        f"{name} is locked by first program (server process {holder.info.backend_pid}, "
    )
    assert str(caught.value).endswith("Nothing was touched; try again when it has finished.")
    assert caught.value.exit_code == 4


def test_a_holder_without_a_name_is_named_by_its_process(opened):
    holder, second = opened(""), opened()
    with advisory_lock(holder, "a"), pytest.raises(LockedError, match="an unnamed client") as caught:
        assert_free(second)
    assert f"server process {holder.info.backend_pid}, " in str(caught.value)


def test_a_lock_is_free_after_its_holder(opened):
    holder, second = opened(), opened()
    assert_free(holder)
    assert_free(second)


def test_a_lock_is_free_after_its_holder_failed(opened):
    holder, second = opened(), opened()
    with pytest.raises(DataError, match="shrunk"), advisory_lock(holder, "a"):
        raise DataError("shrunk")
    assert_free(second)


def test_a_lock_is_free_after_its_holders_transaction_failed(opened):
    holder, second = opened(), opened()
    with pytest.raises(psycopg2.Error, match="division"), advisory_lock(holder, "a"), holder.cursor() as cursor:
        cursor.execute("select 1 / 0")
    assert_free(second)
    assert value(holder, "select 1") == 1


def test_a_lock_is_free_when_its_holder_dies(connection, opened):
    holder, second = opened(), opened()
    lock = advisory_lock(holder, "a")
    lock.__enter__()
    kill(connection, holder.info.backend_pid)
    assert_free(second)
    lock.__exit__(None, None, None)


def test_a_connection_that_broke_under_the_lock_does_not_hide_why_the_run_failed(connection, opened):
    holder = opened()

    def fail():
        kill(connection, holder.info.backend_pid)
        raise DataError("shrunk")

    with pytest.raises(DataError, match="shrunk"), advisory_lock(holder, "a"):
        fail()


def test_a_run_whose_connection_broke_after_its_work_ends_well(connection, opened):
    holder = opened()
    with advisory_lock(holder, "a"):
        kill(connection, holder.info.backend_pid)


def test_a_lock_holds_over_commits_and_rollbacks(opened):
    holder, second = opened(), opened()
    with advisory_lock(holder, "a"):
        for end in (holder.commit, holder.rollback):
            value(holder, "select 1")
            end()
            with pytest.raises(LockedError):
                assert_free(second)


def test_what_was_not_committed_under_the_lock_is_not_stored(opened):
    holder = opened()
    with advisory_lock(holder, "a"), holder.cursor() as cursor:
        cursor.execute("create table forgotten (n integer)")
    assert value(holder, "select to_regclass('forgotten') is null")


def test_taking_a_lock_leaves_no_transaction_open(opened):
    holder, second = opened(), opened()
    with advisory_lock(holder, "a"):
        assert holder.info.transaction_status == TRANSACTION_STATUS_IDLE
        with pytest.raises(LockedError):
            assert_free(second)
        assert second.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_different_locks_do_not_meet(opened):
    with advisory_lock(opened(), "a"), advisory_lock(opened(), "b"):
        pass


def test_a_lock_is_of_one_database(opened, empty_database):
    with closing(connect(empty_database, "elsewhere")) as elsewhere, advisory_lock(elsewhere, "a"):
        assert_free(opened())


# Signals


SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "exit_code"), SIGNALS)
def test_a_signal_ends_a_waiting_statement_and_rolls_back(connection, database, number, exit_code):
    with connection.cursor() as cursor:
        cursor.execute("create table note (text text)")
    asleep = "select count(*) = 1 from pg_stat_activity where wait_event = 'PgSleep'"
    assert_stopped(connection, database, number, exit_code, once=asleep)


@pytest.mark.parametrize(("number", "exit_code"), SIGNALS)
def test_a_signal_ends_a_copy_and_rolls_back(connection, database, sql_file, number, exit_code):
    with connection.cursor() as cursor:
        cursor.execute("create table note (text text)")
    path = sql_file("copy note from stdin")
    copying = "select count(*) = 1 from pg_stat_progress_copy"
    assert_stopped(connection, database, number, exit_code, str(path), once=copying)


def assert_stopped(connection, database, number, exit_code, *arguments, once):
    """Send a signal to the sleeper when it is where it should be, and look at what it leaves."""
    where = {f"DB_{name.upper()}": str(getattr(database, f"db_{name}")) for name in ("host", "port", "name", "user")}
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, *arguments],
        cwd=PROJECT_DIR,
        env={**os.environ, **where, "DB_PASSWORD": database.db_password.get_secret_value()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            wait_until(connection, once)
            process.send_signal(number)
            output, _nothing = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, len(output.splitlines())) == (exit_code, 1), output
    assert output.startswith(f"{exit_code} stopped by {number.name}")
    wait_until(connection, "select count(*) = 0 from pg_stat_activity where application_name = 'sleeper'")
    assert rows(connection, "table note") == []


def wait_until(connection, statement):
    deadline = time.monotonic() + 20
    while not value(connection, statement):
        assert time.monotonic() < deadline, statement
        time.sleep(0.05)


def test_the_wake_up_of_others_is_put_back(opened):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno())
        try:
            with cancelled_by_signals(opened()):
                pass
        finally:
            after = signal.set_wakeup_fd(before)
        assert after == theirs.fileno()


def test_nothing_is_left_running_after_it(opened):
    worker = opened()
    with cancelled_by_signals(worker):
        assert any(thread.name == "cancel-on-signal" for thread in threading.enumerate())
    assert not any(thread.name == "cancel-on-signal" for thread in threading.enumerate())
    assert value(worker, "select 1") == 1


def test_another_signal_does_not_disturb_a_statement(opened):
    worker = opened()
    previous = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    try:
        with cancelled_by_signals(worker):
            sender = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
            sender.start()
            assert value(worker, "select 1 from pg_sleep(0.6)") == 1
            sender.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_it_does_nothing_in_another_thread(opened):
    worker = opened()
    found = []

    def work():
        with cancelled_by_signals(worker):
            found.append(value(worker, "select 1"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]
