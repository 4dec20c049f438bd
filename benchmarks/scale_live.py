"""make bench-scale SYSTEM=museum, its live part: 1, 2, 4 and 8 partitions with as many consumers on one broker.

For each: a drain of a backlog, and a thousand messages a second with the time from press to visible. Then emergencies
that happen while a backlog is drained, and what a consumer costs Postgres: sessions, memory, statements and commits a
second, when nothing comes and at a thousand messages a second. Last the same drain through PgBouncer in session mode.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from growth import STATISTICS_SECONDS, Growth, Line, growth
from kiosk_bench import SERVER_SETTINGS, Bench
from live import (
    LATENCIES,
    PRESSES_A_SECOND,
    ApacheKafka,
    clear_presses,
    consumer_command,
    environment_of,
    fill_topic,
    kafka_libraries,
    know_exhibitions,
    produce_steadily,
)
from pgbouncer import NO_PGBOUNCER, find_pgbouncer, pgbouncer
from tabulate import tabulate

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

PARTITIONS = (1, 2, 4, 8)
EMERGENCIES_A_SECOND = 20
BACKLOG_PARTITIONS = 4
CONSUMED = "select coalesce(sum(next_offset), 0)::bigint from event_source where kind = 'kafka'"
SESSIONS = "select pid from pg_stat_activity where application_name like 'museum consumer%%'"
COMMITS = "select xact_commit from pg_stat_database where datname = current_database()"
EMERGENCY_SECONDS = """
    select count(*),
           percentile_cont(0.5) within group (order by seconds),
           percentile_cont(0.99) within group (order by seconds),
           max(seconds)
    from (
        select extract(epoch from pg_xact_commit_timestamp(i.xmin) - i.at)::float8 as seconds
        from incident i where i.at >= %s and incident_type_id = 1
    ) emergency
"""
WAIT_SECONDS = 600


class LiveGrowth:
    """A broker, a server and the consumers of one group after the other."""

    def __init__(self, run: Bench, kafka: ApacheKafka, lines: Growth) -> None:
        self.run = run
        self.kafka = kafka
        self.lines = lines
        self.costs: list[list[Any]] = []

    def ask(self, settings: DatabaseSettings, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return a statement's rows."""
        with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    @contextmanager
    def consumers(self, settings: DatabaseSettings, topic: str, count: int) -> Iterator[list[int]]:
        """Yield with so many consumers of a group at work; at the end the list has their peaks of memory in MB."""
        peaks: list[int] = []
        processes = []
        with (self.run.folder / "consumers.out").open("ab") as output:
            for number in range(count):
                log = self.run.folder / f"consumer_{number}.log"
                command = [*consumer_command(settings, topic, log), "--group", topic]
                environment = {**os.environ, **environment_of(settings, self.kafka)}
                processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
            try:
                yield peaks
            finally:
                for process in processes:
                    process.send_signal(signal.SIGTERM)
                for process in processes:
                    _, status, usage = os.wait4(process.pid, 0)
                    process.returncode = os.waitstatus_to_exitcode(status)
                    peaks.append(usage.ru_maxrss // 1024)
        failed = [process.returncode for process in processes if process.returncode != 0]
        assert not failed, (failed, (self.run.folder / "consumers.out").read_text()[-2000:])

    def fresh(self) -> DatabaseSettings:
        """Return a database that knows the sites of the messages."""
        settings = self.run.fresh_database()
        know_exhibitions(settings)
        return settings

    def drain(
        self, settings: DatabaseSettings, place: DatabaseSettings, topic: str, count: int, consumers: int
    ) -> None:
        """Drain a topic and note it: whole, with the consumers' start, and from their first commit on."""
        name = f"{consumers}" if place is settings else f"{consumers}, PgBouncer"
        started = time.perf_counter()
        first: tuple[float, int] | None = None
        with (
            closing(connect(settings, "bench")) as connection,
            connection.cursor() as cursor,
            self.consumers(place, topic, consumers) as peaks,
        ):
            connection.autocommit = True
            done = 0
            while done < count:
                time.sleep(0.05)
                cursor.execute(CONSUMED)
                (done,) = cursor.fetchone() or (0,)
                if done and first is None:
                    first = (time.perf_counter(), done)
                assert time.perf_counter() - started < WAIT_SECONDS, (done, count)
            ended = time.perf_counter()
        assert first is not None
        self.lines.note(Line("drain, the consumers' start included", name, count, "message", ended - started))
        self.lines.lines[-1].peak_mb = max(peaks)
        if count > first[1]:
            self.lines.note(
                Line("drain, from the first commit on", name, count - first[1], "message", ended - first[0])
            )

    def latency(self, settings: DatabaseSettings, topic: str, consumers: int, seconds: int) -> None:
        """Note how long presses take at a thousand a second, and what the consumers cost Postgres."""
        with self.consumers(settings, topic, consumers):
            produce_steadily(self.kafka, topic, 4, consumers)
            self._wait_until_read(settings, 4 * PRESSES_A_SECOND)
            clear_presses(settings)
            sent = 0

            def produce() -> None:
                nonlocal sent
                sent = produce_steadily(self.kafka, topic, seconds, consumers)

            busy = self._rates(settings, produce)
            pids = [pid for (pid,) in self.ask(settings, SESSIONS)]
            memory = sum(_private_megabytes(pid) for pid in pids) / len(pids)
            found = self.ask(settings, LATENCIES)
            idle = self._rates(settings, lambda: time.sleep(seconds))
        for kind, rows, p50, p99 in found:
            assert kind == "emergencies" or rows > 0.9 * sent
            self.lines.note(Line(f"press to visible, {kind}, p50", str(consumers), 1, "message", float(p50)))
            self.lines.note(Line(f"press to visible, {kind}, p99", str(consumers), 1, "message", float(p99)))
        self.costs.append(
            [
                consumers,
                len(pids),
                f"{memory:.1f}",
                *(f"{one:.1f}" for one in busy),
                *(f"{one:.1f}" for one in idle),
            ]
        )

    def _rates(self, settings: DatabaseSettings, act: Callable[[], object]) -> tuple[float, float]:
        """Return the commits and the statements a second while something is done, without our own two looks."""
        time.sleep(STATISTICS_SECONDS)
        commits, statements = self.ask(settings, COMMITS)[0][0], self._statements()
        started = time.perf_counter()
        act()
        time.sleep(STATISTICS_SECONDS)
        seconds = time.perf_counter() - started
        statements = self._statements() - statements
        return (self.ask(settings, COMMITS)[0][0] - commits - 1) / seconds, statements / seconds

    def _statements(self) -> int:
        """Return the statements that the server's log tells of so far."""
        log = self.run.server.home / "server.log"
        return log.read_bytes().count(b"LOG:  statement: ")

    def _wait_until_read(self, settings: DatabaseSettings, count: int) -> None:
        """Wait until so many messages are consumed."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.ask(settings, CONSUMED)[0][0] < count:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def emergencies_beside_a_backlog(self, backlog: int) -> None:
        """Note how long emergencies take that happen while a backlog is drained: they wait behind it."""
        settings, topic = self.fresh(), fill_topic(self.kafka, backlog, BACKLOG_PARTITIONS)
        producer = self.kafka.producer()
        began, sent = datetime.now(UTC), 0
        with self.consumers(settings, topic, BACKLOG_PARTITIONS):
            while self.ask(settings, CONSUMED)[0][0] < backlog:
                at = datetime.now(UTC).isoformat()
                message = json.dumps({"at": at, "site": "1", "val": -1, "type": 1}).encode()
                producer.produce(topic, message, partition=sent % BACKLOG_PARTITIONS)
                producer.flush()
                sent += 1
                time.sleep(1 / EMERGENCIES_A_SECOND)
            self._wait_until_read(settings, backlog + sent)
        ((rows, p50, p99, slowest),) = self.ask(settings, EMERGENCY_SECONDS, began)
        assert rows == sent, (rows, sent)
        print(
            f"{sent} emergencies while {backlog:,} messages were drained by {BACKLOG_PARTITIONS} consumers: "
            f"p50 {p50:.2f} s, p99 {p99:.2f} s, slowest {slowest:.2f} s",
            flush=True,
        )
        self.run.drop(settings)


def _private_megabytes(pid: int) -> float:
    """Return a process's own memory, what it shares with others in parts."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def main() -> None:
    """Run every number of partitions and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="minutes: one and two partitions, few messages")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    messages, seconds = (40_000, 6) if flags.quick else (500_000, 20)
    folder = Path(tempfile.mkdtemp(prefix="bench-live-"))
    folder.chmod(0o755)
    kafka = ApacheKafka(folder / "kafka", kafka_libraries())
    settings = (*SERVER_SETTINGS, "track_commit_timestamp = on", "log_statement = 'all'")
    server = EmbeddedServer(folder / "postgres", settings=(*settings, "max_connections = 100"))
    run = Bench(folder, messages, server)
    try:
        kafka.start()
        server.ensure_running()
        with growth("Museum, live: by partitions and consumers", "1", flags.json) as lines:
            live = LiveGrowth(run, kafka, lines)
            for count in PARTITIONS[:2] if flags.quick else PARTITIONS:
                topic = fill_topic(kafka, messages, count)
                database = live.fresh()
                live.drain(database, database, topic, messages, count)
                run.drop(database)
                database = live.fresh()
                live.latency(database, kafka.create_topic(count), count, seconds)
                run.drop(database)
            program = find_pgbouncer()
            if program is None:
                print(NO_PGBOUNCER)
            else:
                database = live.fresh()
                home = folder / "pgbouncer"
                home.mkdir()
                with pgbouncer(program, home, database) as port:
                    pooled = database.model_copy(update={"db_port": port})
                    live.drain(database, pooled, topic, messages, count)
                run.drop(database)
            live.emergencies_beside_a_backlog(messages)
        header = [
            "consumers",
            "sessions",
            "MB a session",
            "commits a second",
            "statements a second",
            "idle: commits",
            "idle: statements",
        ]
        print(f"\nWhat {PRESSES_A_SECOND:,} messages a second cost Postgres\n")
        print(tabulate(live.costs, header, tablefmt="github"))
    finally:
        kafka.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
