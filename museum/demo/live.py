"""make demo-live: half a minute of kiosk events through the real consumer, on a mock broker and the private Postgres.

The broker is the one inside the Kafka client library; it forgets everything when the demo ends, so each demo is a new
cluster to the ledger, and the tables grow. The museum of the demo never closes, since the events happen now.
DEMO_SECONDS says how long they go on.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer
from tabulate import tabulate

from etlkit.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_REJECTS
from etlkit.logs import configure_logging
from etlkit.postgres import Cursor, only_value, run_file
from museum.demo.private_database import LIVE_DATABASE, begin_demo, looking_at, print_ways_on, shown
from museum.demo.samples import sample_event, sample_objects
from museum.settings import PROJECT_DIR, SQL

DATA_DIR = PROJECT_DIR / ".local" / "demo-live"
TOPIC = "lmnh"
SECONDS = 20.0
EVENTS_A_SECOND = 40.0
PATIENCE_SECONDS = 30.0


def main() -> int:
    """Run the demo; return 0 when everything that was sent is stored or rejected."""
    print("Preparing the private Postgres and the sample's exhibitions ...")
    begin_demo(LIVE_DATABASE)
    if not load_sample():
        return EXIT_FAILED
    producer, bootstrap = start_broker()
    print(f"The database is {LIVE_DATABASE}; a mock broker listens on {bootstrap}.\n")
    with looking_at(LIVE_DATABASE) as cursor:
        cursor.execute("select clock_timestamp()")
        began = only_value(cursor)
        consumer = start_consumer(bootstrap)
        try:
            listener = threading.Thread(target=announce_incidents, args=(consumer,), daemon=True)
            listener.start()
            wait_until(lambda: progress(cursor, began)[0] > 0, consumer)  # the first events do not wait for the group
            sent = send_events(producer, float(os.environ.get("DEMO_SECONDS", SECONDS)))
            wait_until(lambda: progress(cursor, began)[1] >= sent, consumer)
            consumer.send_signal(signal.SIGTERM)
            exit_code = consumer.wait(timeout=15)
            print(f"SIGTERM is the consumer's normal end: exit code {exit_code}\n")
            listener.join(timeout=5)
        finally:  # the consumer ends before its broker does, and Ctrl-C has reached it already
            consumer.terminate()
            consumer.wait(timeout=15)
        arrived = show(cursor, began, sent)
    print_ways_on(LIVE_DATABASE, "make dashboard shows this database now; in the next demo emergencies appear in it")
    return EXIT_CLEAN if exit_code == EXIT_CLEAN and arrived == sent else EXIT_FAILED


def load_sample() -> bool:
    """Bring the sample's exhibitions and history into the database, by the pipeline; tell whether that went well."""
    bucket_dir = DATA_DIR / "bucket_data"
    bucket_dir.mkdir(parents=True, exist_ok=True)
    for key, body in sample_objects().items():
        if "/" not in key:
            (bucket_dir / key).write_bytes(body)
    flags = ["--skip-extract", "--push", "--data-dir", str(DATA_DIR), "--log-level", "ERROR"]
    return subprocess.run(_command("pipeline.py", *flags), check=False).returncode in (EXIT_CLEAN, EXIT_REJECTS)


def start_broker() -> tuple[Producer, str]:
    """Return a producer whose client library is the broker too, and the broker's address."""
    logger = configure_logging("mock-broker", DATA_DIR / "broker.log", level="ERROR")
    producer = Producer({"bootstrap.servers": "mock:1", "test.mock.num.brokers": 1}, logger=logger)
    brokers = producer.list_topics(TOPIC, timeout=10).brokers.values()
    return producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def start_consumer(bootstrap: str) -> subprocess.Popen[bytes]:
    """Start consumer.py as a user would."""
    own = {"SECURITY_PROTOCOL": "PLAINTEXT", "MUSEUM_LIVE_REJECT_OUT_OF_HOURS": "false"}
    command = _command("consumer.py", "--topic", TOPIC, "--accept-new-topic")
    print(f"$ BOOTSTRAP_SERVERS={bootstrap} python {' '.join(shown(word) for word in command[1:])}")
    return subprocess.Popen(command, env={**os.environ, "BOOTSTRAP_SERVERS": bootstrap, **own})


def send_events(producer: Producer, seconds: float) -> int:
    """Send events as they happen; return how many."""
    chance = random.Random()
    sent = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        producer.produce(TOPIC, value=sample_event(chance, datetime.now(UTC)))
        producer.poll(0)
        sent += 1
        time.sleep(chance.expovariate(EVENTS_A_SECOND))
    producer.flush(10)
    return sent


def progress(cursor: Cursor, began: datetime) -> tuple[int, int]:
    """Return how many partitions the consumer has taken up since a moment, and how many messages have come."""
    run_file(cursor, SQL / "demo" / "read_progress.sql", {"began": began})
    partitions, messages = cursor.fetchone() or (0, 0)
    return partitions, messages


def wait_until(is_so: Callable[[], bool], consumer: subprocess.Popen[bytes]) -> None:
    """Wait for something, though not for ever and not for a consumer that has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while consumer.poll() is None and time.monotonic() < deadline and not is_so():
        time.sleep(0.2)


def announce_incidents(consumer: subprocess.Popen[bytes]) -> None:
    """Print every emergency as the database announces it."""
    with looking_at(LIVE_DATABASE) as cursor:
        cursor.execute("listen museum_incident")
        connection = cursor.connection
        while consumer.poll() is None:
            if select.select([connection], [], [], 0.2)[0]:
                connection.poll()
            while connection.notifies:
                incident = json.loads(connection.notifies.pop(0).payload)
                if incident["incident_type"] == "emergency":
                    waited = (datetime.now(UTC) - datetime.fromisoformat(incident["at"])).total_seconds()
                    where = f"{incident['exhibition_name']} (floor {incident['floors']})"
                    print(f"  EMERGENCY at {where}: heard of {waited:.2f} s after the press")


def show(cursor: Cursor, began: datetime, sent: int) -> int:
    """Print what arrived since a moment and what was rejected and why; return how many messages that were."""
    run_file(cursor, SQL / "demo" / "list_arrived.sql", {"began": began})
    arrived = cursor.fetchall()
    run_file(cursor, SQL / "demo" / "list_rejected.sql", {"began": began})
    rejected = cursor.fetchall()
    print(tabulate(arrived, ["arrived from", "reviews", "average", "calls for help"], missingval="-"), end="\n\n")
    print(tabulate(rejected, ["rejected for", "messages", "one of them"]))
    stored = sum(reviews + calls for _, reviews, _, calls in arrived)
    refused = sum(messages for _, messages, _ in rejected)
    print(f"\n{sent:,} messages sent = {stored:,} stored + {refused:,} rejected\n")
    return int(stored + refused)


def _command(script: str, *flags: str) -> list[str]:
    """Return a root script's command on the demo's database."""
    own = ["--embedded", "--db-name", LIVE_DATABASE, "--log-file", str(DATA_DIR / f"{Path(script).stem}.log")]
    return [sys.executable, str(PROJECT_DIR / script), *own, *flags]
