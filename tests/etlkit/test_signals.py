"""A signal ends a waiting statement and a COPY at once, rolls back, and disturbs nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from kit_database import connections, emptied, made_database, rows, sql_writer, value

from etlkit.signals import cancelled_by_signals

pytestmark = pytest.mark.database

PROJECT_DIR = Path(__file__).resolve().parents[2]
SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
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
    with made_database(postgres, "kit_signals") as made:
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
