"""Everything breaks under the consumer, and the tables end up as if nothing had: each press once, each reject once."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from live_case import Live, call, ended, press
from mistreated_server import crash, own_server

from etlkit.locks import release_advisory_lock, try_advisory_lock
from etlkit.postgres import connect
from etlkit.testing import full_count, seeded_random

pytestmark = pytest.mark.soak

KILLS = full_count("kills of a consumer", 3, 30)
CUTS = full_count("cuts of a consumer's line", 3, 12)
RESTARTS = full_count("restarts of the broker", 1, 4)
MESSAGES = 3_000
SMALL_BATCHES = ("--batch-size", "10")
"""Many transactions, so that a fault hits one."""
CLEAR = "truncate review, incident, event_source, meta.rejected_records, meta.ingestion_runs"


def messages(count: int = MESSAGES, first: int = 0) -> list:
    """Presses with a call for help in ten and a bad message in fifteen."""
    made: list = [press(number) for number in range(first, first + count)]
    made[::10] = [call(number, number % 3 % 2) for number in range(first, first + count, 10)]
    made[7::15] = [b"bad " + str(number).encode() for number in range(first + 7, first + count, 15)]
    return made


def assert_nothing_lost_or_doubled(live: Live, *flags: str) -> None:
    """Let one undisturbed consumer finish, and hold the result against an undisturbed one from the beginning on."""
    live.consume(*flags)
    state = live.state()
    assert live.consume("--group", "check").figures["live"]["consumed"] == 0
    live.query(CLEAR)
    live.consume("--group", "reference")
    assert live.state() == state
    assert live.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]


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


def test_three_consumers_share_come_and_go(live):
    first = live.start(*SMALL_BATCHES)
    live.produce(messages(900))
    live.wait_for_stored(100)
    second = live.start(*SMALL_BATCHES)
    third = live.start(*SMALL_BATCHES)
    sent = 900

    def owners() -> int:
        return live.query("select count(distinct run_id) from event_source where kind = 'kafka'")[0][0]

    deadline = time.monotonic() + 60
    while owners() < 3:
        live.produce(messages(30, sent))
        sent += 30
        time.sleep(0.3)
        assert time.monotonic() < deadline, "three consumers never shared the partitions"
    live.produce(messages(900, sent))
    sent += 900
    second.terminate()
    assert ended(second)[0] == 0
    live.produce(messages(300, sent))
    sent += 300
    third.kill()
    ended(third)
    live.produce(messages(300, sent))
    sent += 300
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == sent, "all messages")
    first.terminate()
    code, output = ended(first)
    assert code == 0, output
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_rebalance_that_changes_nothing_stops_nothing(live):
    """A member that comes and gets no partition, as all others did before; the first one's are given back at once."""
    first = live.start()
    live.produce(messages(30))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == 30, "the first messages")
    sent = 30
    for _ in range(2):
        others = [live.start() for _ in range(3)]
        for _ in range(12):
            live.produce(messages(30, sent))
            sent += 30
            time.sleep(0.25)
        for process in others:
            process.terminate()
        assert [ended(process)[0] for process in others] == [0, 0, 0]
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == sent, "all messages")
    first.terminate()
    assert ended(first)[0] == 0
    assert_nothing_lost_or_doubled(live)


def test_a_new_owner_waits_for_the_partitions_lock(live):
    live.produce(messages(300))
    live.consume()
    cluster = live.ledger()[0][0]
    live.produce(messages(300, 300))
    with closing(connect(live.museum.database, "somebody else")) as holder:
        name = f"museum:live:{cluster}/{live.topic}/1"
        assert try_advisory_lock(holder, name) is None
        process = live.start()
        live.wait_for(lambda: [offset for *_, offset, _ in live.ledger()] == [200, 100, 200], "the free partitions")
        time.sleep(1)
        assert live.ledger()[1][3] == 100
        release_advisory_lock(holder, name)
        live.wait_for(lambda: [offset for *_, offset, _ in live.ledger()] == [200, 200, 200], "the last partition")
    process.terminate()
    code, output = ended(process)
    assert code == 0
    assert f"{live.topic}[1] is still held by somebody else" in output
    assert_nothing_lost_or_doubled(live)


def test_a_consumer_whose_token_is_gone_rolls_back(live):
    process = live.start(*SMALL_BATCHES)
    live.produce(messages())
    for _ in range(3):
        before = live.stored()
        live.wait_for(lambda before=before: live.stored() > before or before > 2_500, "work")
        live.query("update event_source set fencing_token = fencing_token + 1 where kind = 'kafka'")
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES, "all messages")
    process.terminate()
    code, output = ended(process)
    assert code == 0
    assert "another consumer took over; the batch was rolled back" in output
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_consumer_that_hangs_loses_its_partitions_and_finds_out(live):
    hanging = live.start(*SMALL_BATCHES)
    live.produce(messages())
    live.wait_for_stored(100)
    hanging.send_signal(signal.SIGSTOP)
    fresh = live.start(*SMALL_BATCHES)
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES, "the other consumer")
    hanging.send_signal(signal.SIGCONT)
    live.produce(messages(300, MESSAGES))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES + 300, "both consumers")
    for process in (fresh, hanging):
        process.terminate()
        code, output = ended(process)
        assert code == 0, output
    assert_nothing_lost_or_doubled(live)


def test_a_static_member_that_is_fenced_ends_with_4(live):
    first = live.start("--instance-id", "the-box")
    live.produce(messages(30))
    live.wait_for_stored(20)
    second = live.start("--instance-id", "the-box")
    code, output = ended(first)
    assert code == 4, output
    assert "another consumer has joined the group as the-box" in output
    live.produce(messages(30, 30))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == 60, "the second consumer")
    second.terminate()
    assert ended(second)[0] == 0
    assert live.query("select status, count(*) from meta.ingestion_runs group by 1 order by 1") == [
        ("completed", 1), ("failed", 1),
    ]  # fmt: skip


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
def test_an_idle_exit_gives_up_on_a_lock_and_says_whose_it_is(live, monkeypatch):
    live.produce(messages(30))
    live.consume()
    with closing(connect(live.museum.database, "somebody else")) as holder:
        place = f"museum:live:{live.ledger()[0][0]}/{live.topic}/1"
        assert try_advisory_lock(holder, place) is None
        with monkeypatch.context() as patch:
            patch.setattr("museum.live.stream.PATIENCE_SECONDS", 5)
            result = live.consume("--idle-exit", "0.5")
    assert result.exit_code == 1
    assert "is held by somebody else" in result.last_line
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
