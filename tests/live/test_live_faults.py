"""Everything breaks under the consumer, and the tables end up as if nothing had: each press once, each reject once."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from live_case import MESSAGES, SMALL_BATCHES, assert_nothing_lost_or_doubled, ended, messages, press
from mistreated_server import crash, own_server

from etlkit.testing import full_count, seeded_random

pytestmark = pytest.mark.soak

KILLS = full_count("kills of a consumer", 3, 30)
CUTS = full_count("cuts of a consumer's line", 3, 12)
RESTARTS = full_count("restarts of the broker", 1, 4)


def test_killed_at_random_moments(live):
    """A group of its own each time, so that nobody waits for the dead member's session."""
    rng = seeded_random("live_faults")
    live.produce(messages())
    stored = []
    for number in range(KILLS):
        process = live.start(*SMALL_BATCHES, "--group", f"{live.topic}-{number}")
        before = live.stored()
        live.wait_for(lambda before=before: live.stored() > before, "a first batch")
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        ended(process)
        stored.append(live.stored())
        if live.stored() >= 0.9 * MESSAGES:
            live.produce(messages(1_000, MESSAGES + 1_000 * number))
    assert stored[0] < MESSAGES
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_killed_with_static_membership_the_next_one_goes_on_at_once(live):
    live.setenv("KAFKA_INSTANCE_ID", f"box-{live.topic}")
    live.produce(messages(600))
    process = live.start(*SMALL_BATCHES)
    live.wait_for_stored(10)
    process.kill()
    ended(process)
    began = time.monotonic()
    live.consume()
    assert time.monotonic() - began < 5.5, "the dead member's session ends after 6 seconds only"
    assert_nothing_lost_or_doubled(live)


@pytest.mark.parametrize("way", [pytest.param("stop", marks=pytest.mark.full), "kill"])
def test_the_broker_goes_and_comes_back(live, way):
    process = live.start(*SMALL_BATCHES)
    sent = 0
    for _ in range(RESTARTS):
        before = live.stored()
        live.produce(messages(300, sent))
        sent += 300
        live.wait_for(lambda before=before: live.stored() > before, "the consumer at work")
        getattr(live.kafka, way)()
        time.sleep(1.5)
        live.kafka.start()
        live.produce(messages(300, sent))
        sent += 300
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == sent, "all messages")
    process.terminate()
    code, output = ended(process)
    assert code == 0, output
    assert "no broker answers" in output
    assert_nothing_lost_or_doubled(live)


@pytest.mark.parametrize("way", [pytest.param("restarted", marks=pytest.mark.full), "crashed"])
def test_the_database_goes_and_comes_back(live, monkeypatch, server_home, way):
    with own_server(live.museum, monkeypatch, server_home) as server:
        live.environment["DB_PASSWORD"] = live.museum.database.db_password.get_secret_value()
        live.know_exhibitions(6)
        process = live.start(*SMALL_BATCHES)
        sent = 0
        for _ in range(RESTARTS):
            live.produce(messages(600, sent))
            before = live.stored()
            live.wait_for(lambda before=before: live.stored() > before, "the consumer at work")
            server.stop() if way == "restarted" else crash(server)
            live.produce(messages(600, sent + 600))
            sent += 1_200
            time.sleep(1)
            assert process.poll() is None, process.communicate()
            server.ensure_running()
        live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == sent, "all messages")
        process.terminate()
        code, output = ended(process)
        assert code == 0, output
        assert "nothing is lost" in output
        assert "the database is back" in output
        assert live.query("select status, records_processed from meta.ingestion_runs") == [("completed", sent)]
        assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_missing_database_lets_nothing_grow(live, monkeypatch, server_home):
    def resident_mb(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 // 1024

    with own_server(live.museum, monkeypatch, server_home) as server:
        live.environment["DB_PASSWORD"] = live.museum.database.db_password.get_secret_value()
        live.know_exhibitions(6)
        process = live.start()
        live.produce(messages(3_000))
        live.wait_for_stored(2_000)
        server.stop()
        time.sleep(1)
        before = resident_mb(process.pid)
        live.produce([press(number, extra="x" * 3_000) for number in range(20_000)])
        time.sleep(3)
        assert resident_mb(process.pid) - before < 20
        server.ensure_running()
        live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == 23_000, "all messages")
        process.terminate()
        assert ended(process)[0] == 0


class FlakyLine(threading.Thread):
    """Stands between consumers and the server, and cuts each connection around some commit of its own."""

    def __init__(self, host: str, port: int, cuts: int) -> None:
        super().__init__(daemon=True)
        self.server = (host, port)
        self.cuts_left = cuts
        self.random = seeded_random("live_faults")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server:
            answers = threading.Thread(target=self.pass_on, args=(server, client), daemon=True)
            answers.start()
            commits_left = self.random.randrange(8, 30)
            what = self.random.choice([b"COMMIT", b"COMMIT", b"insert into review", b"update event_source"])
            passes_it_on = self.random.random() < 0.5
            with suppress(OSError):
                while data := client.recv(65_536):
                    commits_left -= what in data
                    is_last = commits_left <= 0 and self.cuts_left > 0
                    if not is_last or passes_it_on:
                        server.sendall(data)
                    if is_last:
                        self.cuts_left -= 1
                        break
            for end in (server, client):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            answers.join()

    @staticmethod
    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)


def test_the_connection_is_cut_in_mid_transaction(live):
    straight = live.museum.database
    line = FlakyLine(straight.db_host, straight.db_port, CUTS)
    line.start()
    live.museum.database = straight.model_copy(update={"db_host": "127.0.0.1", "db_port": line.port})
    live.setenv("DB_SSLMODE", "disable")
    process = live.start(*SMALL_BATCHES)
    live.museum.database = straight
    live.produce(messages(8_000))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == 8_000, "all messages")
    process.terminate()
    code, output = ended(process)
    line.listener.close()
    assert code == 0, output
    assert line.cuts_left == 0
    assert output.count("the database is back") == CUTS
    assert "total 8,000 consumed" in output, "a commit without an answer is counted all the same"
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_sessions_are_ended_by_the_administrator(live):
    process = live.start(*SMALL_BATCHES)
    live.produce(messages())
    for _ in range(CUTS):
        live.wait_for(
            lambda: live.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'museum consumer%' "
                "and datname = current_database() and xact_start is not null"
            ) or sum(offset for *_, offset, _ in live.ledger()) == MESSAGES,
            "a transaction",
        )  # fmt: skip
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES, "all messages")
    process.terminate()
    assert ended(process)[0] == 0
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_right_that_is_taken_away_ends_the_consumer_and_loses_nothing(live):
    process = live.start()
    live.produce([press(0)])
    live.wait_for_stored(1)
    live.query("alter table review rename to hidden_review")
    live.produce([press(1)])
    code, output = ended(process)
    assert code == 1
    assert "the database refuses" in output
    live.query("alter table hidden_review rename to review")
    assert live.query("select status from meta.ingestion_runs") == [("failed",)]
    assert_nothing_lost_or_doubled(live)
