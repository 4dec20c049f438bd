"""A signal ends a consumer soon, whatever it waits for, and nothing is lost."""

from __future__ import annotations

import signal
import time
from contextlib import closing

import pytest
from live_case import SMALL_BATCHES, assert_nothing_lost_or_doubled, ended, messages, press
from mistreated_server import own_server

from etlkit.postgres import connect

pytestmark = pytest.mark.soak


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGTERM, 0),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.full),
    ],
)
def test_signals_finish_the_batch(live, number, expected):
    process = live.start(*SMALL_BATCHES)
    live.produce([*messages(), b"bad"])
    live.wait_for_stored(50)
    process.send_signal(number)
    began = time.monotonic()
    code, output = ended(process)
    assert (code, time.monotonic() - began < 10) == (expected, True), output
    assert output.splitlines()[-1].startswith("Stored ")
    assert live.query("select status from meta.ingestion_runs") == [("completed",)]
    assert_nothing_lost_or_doubled(live)


def test_a_signal_ends_a_consumer_whose_statement_hangs(live):
    process = live.start()
    live.produce([press(0)])
    live.wait_for_stored(1)
    with closing(connect(live.museum.database, "maintenance")) as other, other, other.cursor() as cursor:
        cursor.execute("lock table review in access exclusive mode")
        live.produce([press(1)])
        time.sleep(1)
        process.terminate()
        began = time.monotonic()
        code, output = ended(process)
        assert (code, time.monotonic() - began < 10) == (0, True), output
    assert live.stored() == 1
    assert_nothing_lost_or_doubled(live)


def test_a_signal_ends_a_consumer_that_still_looks_for_its_brokers(live):
    live.setenv("BOOTSTRAP_SERVERS", "127.0.0.1:9")
    process = live.start()
    log = live.museum.log_file
    live.wait_for(lambda: log.exists() and "Connection refused" in log.read_text(), "the first attempt")
    process.terminate()
    code, output = ended(process)
    assert (code, "Stopped before anything was read" in output) == (0, True), output


@pytest.mark.full
def test_a_signal_ends_a_consumer_whose_database_is_gone(live, monkeypatch, server_home):
    with own_server(live.museum, monkeypatch, server_home) as server:
        live.environment["DB_PASSWORD"] = live.museum.database.db_password.get_secret_value()
        live.know_exhibitions(6)
        process = live.start()
        live.produce([press(0)])
        live.wait_for_stored(1)
        server.stop()
        time.sleep(1)
        process.terminate()
        code, output = ended(process)
        assert code == 0, output
        assert "the run's end could not be recorded" in output
        server.ensure_running()
        assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_signal_ends_a_consumer_whose_brokers_are_gone(live):
    process = live.start()
    live.produce([press(0)])
    live.wait_for_stored(1)
    live.kafka.kill()
    try:
        time.sleep(1)
        process.terminate()
        began = time.monotonic()
        code, output = ended(process)
        assert (code, time.monotonic() - began < 10) == (0, True), output
    finally:
        live.kafka.start()
    assert_nothing_lost_or_doubled(live)
