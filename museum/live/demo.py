"""make demo-live: half a minute of kiosk events through the real consumer, on a mock broker and the private Postgres.

The broker is the one inside the Kafka client library; it forgets everything when the demo ends, so each demo is a new
cluster to the ledger, and the tables grow. The museum of the demo never closes, since the events happen now.
DEMO_SECONDS says how long they go on.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from confluent_kafka import Producer
from tabulate import tabulate

from etlkit.console import run_plainly
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_REJECTS
from etlkit.logs import configure_logging
from etlkit.postgres import Connection, connect, run_file
from etlkit.process import exit_process
from etlkit.settings import DatabaseSettings, stand_alone
from museum.console import EVERY_SETTING, PREFIXES
from museum.demo import prepare_database, python_command, shown
from museum.live.sample_events import sample_event
from museum.sample_bucket import sample_objects
from museum.settings import PROJECT_DIR

DATABASE = "museum_live"
DATA_DIR = PROJECT_DIR / ".local" / "demo-live"
TOPIC = "lmnh"
SECONDS = 20.0
EVENTS_A_SECOND = 40.0
JOIN_SECONDS = 30.0
SQL = PROJECT_DIR / "sql" / "demo"


def main() -> int:
    """Run the demo; return 0 when everything that was sent is stored or rejected."""
    stand_alone(EVERY_SETTING, PREFIXES)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    print("Preparing the private Postgres and the sample's exhibitions ...")
    return run_demo(float(os.environ.get("DEMO_SECONDS", SECONDS)))


def run_demo(seconds: float) -> int:
    """Send events for some seconds through a broker and the consumer, and show what became of them."""
    prepare_database(DATABASE)
    if not load_sample():
        return EXIT_FAILED
    server = EmbeddedServer(default_home(PROJECT_DIR))
    settings = server.ensure_database(DATABASE)
    producer, bootstrap = start_broker()
    print(f"The database is {DATABASE}; a mock broker listens on {bootstrap}.\n")
    with closing(connect(settings, "museum live demo")) as connection:
        connection.autocommit = True
        began = _moment(connection)
    consumer = start_consumer(bootstrap)
    try:
        listener = threading.Thread(target=announce_incidents, args=(settings, consumer), daemon=True)
        listener.start()
        wait_for_claims(settings, consumer, began)
        sent = send_events(producer, seconds)
        exit_code = stop_consumer(settings, consumer, sent, began)
        listener.join(timeout=5)
    finally:  # the consumer ends before its broker does, and Ctrl-C has reached it already
        if consumer.poll() is None:
            consumer.terminate()
            consumer.wait(timeout=15)
    with closing(connect(settings, "museum live demo")) as connection:
        arrived = show(connection, began, sent)
    print(f"\nRejected messages:  {python_command()} -m etlkit rejects list --embedded --db-name {DATABASE}")
    print(f"psql:               {server.psql_command(DATABASE)}")
    print("Dashboard:          make dashboard shows this database now; in the next demo emergencies appear in it")
    print("The private Postgres keeps running; make stop ends it.")
    return EXIT_CLEAN if exit_code == EXIT_CLEAN and arrived == sent else EXIT_FAILED


def load_sample() -> bool:
    """Bring the sample's exhibitions and history into the database, by the pipeline; tell whether that went well."""
    bucket_dir = DATA_DIR / "bucket_data"
    bucket_dir.mkdir(parents=True, exist_ok=True)
    for key, body in sample_objects().items():
        if "/" not in key:
            (bucket_dir / key).write_bytes(body)
    flags = ["--skip-extract", "--push", "--data-dir", str(DATA_DIR), "--log-level", "ERROR"]
    exit_code = subprocess.run(_command("pipeline.py", *flags), check=False).returncode
    return exit_code in (EXIT_CLEAN, EXIT_REJECTS)


def start_broker() -> tuple[Producer, str]:
    """Return a producer whose client library is the broker too, and the broker's address."""
    logger = configure_logging("mock-broker", DATA_DIR / "broker.log", level="ERROR")
    producer = Producer({"bootstrap.servers": "mock:1", "test.mock.num.brokers": 1}, logger=logger)
    brokers = producer.list_topics(TOPIC, timeout=10).brokers.values()
    return producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def start_consumer(bootstrap: str) -> subprocess.Popen[bytes]:
    """Start consumer.py as a user would."""
    environment = {
        **os.environ,
        "BOOTSTRAP_SERVERS": bootstrap,
        "SECURITY_PROTOCOL": "PLAINTEXT",
        "MUSEUM_LIVE_REJECT_OUT_OF_HOURS": "false",
    }
    command = _command("consumer.py", "--topic", TOPIC, "--accept-new-topic")
    print(f"$ BOOTSTRAP_SERVERS={bootstrap} python {' '.join(shown(word) for word in command[1:])}")
    return subprocess.Popen(command, env=environment)


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


def wait_for_claims(settings: DatabaseSettings, consumer: subprocess.Popen[bytes], began: datetime) -> None:
    """Wait until the consumer has its partitions, so that the first events do not wait for the group."""
    deadline = time.monotonic() + JOIN_SECONDS
    with closing(connect(settings, "museum live demo")) as connection:
        connection.autocommit = True
        while consumer.poll() is None and time.monotonic() < deadline:
            with connection.cursor() as cursor:
                run_file(cursor, SQL / "count_claimed.sql", {"began": began})
                if (cursor.fetchone() or (0,))[0]:
                    time.sleep(0.5)
                    return
            time.sleep(0.2)


def stop_consumer(settings: DatabaseSettings, consumer: subprocess.Popen[bytes], sent: int, began: datetime) -> int:
    """Give the consumer time for the last events, stop it as systemd would, and return its exit code."""
    deadline = time.monotonic() + JOIN_SECONDS
    with closing(connect(settings, "museum live demo")) as connection:
        connection.autocommit = True
        while consumer.poll() is None and time.monotonic() < deadline and _consumed(connection, began) < sent:
            time.sleep(0.2)
    consumer.send_signal(signal.SIGTERM)
    exit_code = consumer.wait(timeout=15)
    print(f"SIGTERM is the consumer's normal end: exit code {exit_code}\n")
    return exit_code


def announce_incidents(settings: DatabaseSettings, consumer: subprocess.Popen[bytes]) -> None:
    """Print every emergency as the database announces it."""
    with closing(connect(settings, "museum live demo")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("listen museum_incident")
        while consumer.poll() is None:
            if select.select([connection], [], [], 0.2)[0]:
                connection.poll()
            while connection.notifies:
                incident = json.loads(connection.notifies.pop(0).payload)
                if incident["incident_type"] == "emergency":
                    waited = (datetime.now(UTC) - datetime.fromisoformat(incident["at"])).total_seconds()
                    where = f"{incident['exhibition_name']} (floor {incident['floors']})"
                    print(f"  EMERGENCY at {where}: heard of {waited:.2f} s after the press")


def show(connection: Connection, began: datetime, sent: int) -> int:
    """Print what arrived since a moment and what was rejected and why; return how many messages that were."""
    with connection.cursor() as cursor:
        run_file(cursor, SQL / "list_arrived.sql", {"began": began})
        arrived = cursor.fetchall()
        run_file(cursor, SQL / "list_rejected.sql", {"began": began})
        rejected = cursor.fetchall()
    print(
        tabulate(arrived, ["arrived from", "reviews", "average", "calls for help"], tablefmt="simple", missingval="-")
    )
    print()
    print(tabulate(rejected, ["rejected for", "messages", "one of them"], tablefmt="simple"))
    stored = sum(reviews + calls for _, reviews, _, calls in arrived)
    refused = sum(messages for _, messages, _ in rejected)
    print(f"\n{sent:,} messages sent = {stored:,} stored + {refused:,} rejected")
    return int(stored + refused)


def _consumed(connection: Connection, began: datetime) -> int:
    """Return how many messages have come since a moment."""
    with connection.cursor() as cursor:
        run_file(cursor, SQL / "count_consumed.sql", {"began": began})
        return int((cursor.fetchone() or (0,))[0])


def _moment(connection: Connection) -> datetime:
    """Return the server's clock."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        moment: datetime = (cursor.fetchone() or (datetime.now(UTC),))[0]
        return moment


def _command(script: str, *flags: str) -> list[str]:
    """Return a root script's command on the demo's database."""
    own = ["--embedded", "--db-name", DATABASE, "--log-file", str(DATA_DIR / f"{Path(script).stem}.log")]
    return [sys.executable, str(PROJECT_DIR / script), *own, *flags]


if __name__ == "__main__":
    exit_process(run_plainly(main))
