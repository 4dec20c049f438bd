"""A topic, a database and consumers to test with: in this process, or in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from apache_kafka import ApacheKafka
from museum_case import Museum, Result

import consumer

PROJECT_DIR = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 60.0
MESSAGES = 3_000
SMALL_BATCHES = ("--batch-size", "10")
"""Many transactions, so that a fault hits one."""
CLEAR = (
    "truncate review, incident, event_source, archived_month, archived_source, "
    "meta.rejected_records, meta.ingestion_runs"
)
PRESSES = """
    select topic, partition, position, exhibition_id, at, 'rating', rating_id
    from review join event_source using (source_id) where kind = 'kafka'
    union all
    select topic, partition, position, exhibition_id, at, 'incident', incident_type_id
    from incident join event_source using (source_id) where kind = 'kafka'
    order by 1, 2, 3
"""
LEDGER = """
    select cluster, topic, partition, next_offset, rows from event_source where kind = 'kafka' order by 1, 2, 3
"""
REJECTS = """
    select source, position, raw, reasons from meta.rejected_records
    where resolved_at is null and source like 'kafka://%' order by source, length(position), position
"""


def press(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a good message; a field that is changed to ... is left out."""
    minute, second = number // 60 % 60, number % 60
    at = f"2026-01-05T{9 + number // 3600 % 9:02}:{minute:02}:{second:02}.{number % 1_000_000:06}+00:00"
    fields = {"at": at, "site": str(number % 6), "val": number % 5, **changes}
    return {name: value for name, value in fields.items() if value is not ...}


def call(number: int, kind: int, **changes: Any) -> dict[str, Any]:
    """Return a call for help: kind 0 assistance, 1 emergency."""
    return press(number, val=-1, type=kind, **changes)


def messages(count: int = MESSAGES, first: int = 0) -> list:
    """Presses with a call for help in ten and a bad message in fifteen."""
    made: list = [press(number) for number in range(first, first + count)]
    made[::10] = [call(number, number % 3 % 2) for number in range(first, first + count, 10)]
    made[7::15] = [b"bad " + str(number).encode() for number in range(first + 7, first + count, 15)]
    return made


@dataclass
class Live:
    """One topic and one museum."""

    museum: Museum
    kafka: ApacheKafka
    topic: str
    monkeypatch: pytest.MonkeyPatch
    environment: dict[str, str] = field(default_factory=dict)

    def setenv(self, name: str, value: str) -> None:
        self.environment[name] = value
        self.monkeypatch.setenv(name, value)

    def know_exhibitions(self, count: int) -> None:
        self.query(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "select n + 1, 'EXH_' || lpad(n::text, 2, '0'), 'Room ' || n from generate_series(0, %s) n "
            "on conflict (exhibition_id) do nothing",
            (count - 1,),
        )

    def produce(self, messages: list[Any], partition: int | None = None) -> None:
        self.kafka.produce(self.topic, messages, partition)

    def flags(self, *more: str) -> list[str]:
        """Return a consumer's flags; each topic has a group of its own, so that no test waits for another's dead."""
        own = ["--topic", self.topic, "--group", self.topic, "--log-file", str(self.museum.log_file)]
        return [*own, *self.museum.database_flags, *more]

    def consume(self, *flags: str) -> Result:
        """Run the consumer in this process until nothing comes any more, unless a flag ends it."""
        ending = [] if {"--idle-exit", "--max-messages", "--replay-rejects"} & set(flags) else ["--idle-exit", "0.2"]
        own = self.flags()[4:] if "--replay-rejects" in flags else self.flags()  # a replay is of all topics
        exit_code = consumer.main([*own, *ending, *flags, "--json"])
        captured = self.museum.capsys.readouterr()
        objects = captured.out.splitlines()
        assert len(objects) == 1, f"standard output is one JSON object, got: {captured.out}"
        return Result(exit_code, json.loads(objects[0]), captured.err.splitlines())

    def start(self, *flags: str, **environment: str) -> subprocess.Popen[str]:
        """Start a consumer in a process of its own."""
        return subprocess.Popen(
            [sys.executable, str(PROJECT_DIR / "consumer.py"), *self.flags(*flags)],
            env={**os.environ, **self.environment, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        return self.museum.query(statement, parameters)

    def presses(self) -> list[tuple[Any, ...]]:
        return self.query(PRESSES)

    def ledger(self) -> list[tuple[Any, ...]]:
        return self.query(LEDGER)

    def rejects(self) -> list[tuple[Any, ...]]:
        return [(source, position, bytes(raw), reasons) for source, position, raw, reasons in self.query(REJECTS)]

    def state(self) -> tuple[list[tuple[Any, ...]], ...]:
        """Return everything that a consumer leaves behind, but for its history."""
        return self.presses(), self.ledger(), self.rejects()

    def stored(self) -> int:
        return self.museum.count("review") + self.museum.count("incident")

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.05)

    def wait_for_stored(self, count: int) -> None:
        self.wait_for(lambda: self.stored() >= count, f"{count} presses, there are {self.stored()}")


def ended(process: subprocess.Popen[str], seconds: float = 20.0) -> tuple[int, str]:
    """Return how a consumer ended, and what it printed."""
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def assert_nothing_lost_or_doubled(live: Live, *flags: str) -> None:
    """Let one undisturbed consumer finish, and hold the result against an undisturbed one from the beginning on."""
    live.consume(*flags)
    state = live.state()
    assert live.consume("--group", "check").figures["live"]["consumed"] == 0
    live.query(CLEAR)
    live.consume("--group", "reference")
    assert live.state() == state
    assert live.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]
