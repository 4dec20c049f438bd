"""make bench-live: draining a topic and keeping up with it, on a real Apache Kafka and a private Postgres.

References for the drain: bare polling of the same topic, and the row-at-a-time way (judge, insert and commit each
message). Latencies are the server's own: the time of each row's commit (`track_commit_timestamp`) less the press's
`at`, which the producer sets as it sends.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, Producer
from kiosk_bench import FILES, PROJECT_DIR, SERVER_SETTINGS, SITES, Bench, generate, password_of, run_measured
from tabulate import tabulate

sys.path.insert(0, str(PROJECT_DIR / "tests"))

from apache_kafka import ApacheKafka, kafka_libraries

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

PARTITIONS = 4
FIRST_DAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
MESSAGES_A_DAY = 30_000
PRESSES_A_SECOND = 1_000
BATCH_ROWS = 100_000
LATENCIES = """
    select 'presses' as kind, count(*) as rows,
           percentile_cont(0.5) within group (order by seconds) as p50,
           percentile_cont(0.99) within group (order by seconds) as p99
    from (
        select extract(epoch from pg_xact_commit_timestamp(r.xmin) - r.at) as seconds
        from review r join event_source using (source_id) where kind = 'kafka'
        union all
        select extract(epoch from pg_xact_commit_timestamp(i.xmin) - i.at)
        from incident i join event_source using (source_id) where kind = 'kafka'
    ) every
    union all
    select 'emergencies', count(*),
           percentile_cont(0.5) within group (order by seconds),
           percentile_cont(0.99) within group (order by seconds)
    from (
        select extract(epoch from pg_xact_commit_timestamp(i.xmin) - i.at) as seconds
        from incident i join event_source using (source_id) where kind = 'kafka' and incident_type_id = 1
    ) emergency
"""


@dataclass
class Drain:
    """How fast one way takes the topic."""

    name: str
    messages: int
    seconds: float
    peak_mb: int | None = None

    @property
    def rate(self) -> float:
        """Return messages a second."""
        return self.messages / self.seconds


@dataclass
class Latency:
    """How long presses took until they were visible."""

    name: str
    kind: str
    rows: int
    p50: float
    p99: float


def event(rng: random.Random, at: datetime) -> dict[str, object]:
    """Return one message of a realistic mix: 3.5 % calls for help, 2.5 % bad ones."""
    message: dict[str, object] = {"at": at.isoformat(), "site": str(rng.randrange(SITES)), "val": rng.randrange(5)}
    share = rng.random()
    if share < 0.035:
        message |= {"val": -1, "type": int(share < 0.002)}
    elif share < 0.05:
        message["site"] = "ERR"
    elif share < 0.06:
        del message["at"]
    return message


def fill_topic(kafka: ApacheKafka, count: int, partitions: int = PARTITIONS) -> str:
    """Produce a topic's worth of past messages."""
    topic = kafka.create_topic(partitions)
    rng = random.Random(1)
    producer = kafka.producer()
    for number in range(count):
        at = FIRST_DAY + timedelta(
            days=number // MESSAGES_A_DAY, seconds=number % MESSAGES_A_DAY, microseconds=rng.randrange(10**6)
        )
        producer.produce(topic, json.dumps(event(rng, at)).encode(), partition=number % partitions)
        if number % 10_000 == 0:
            producer.flush()
    assert producer.flush(60) == 0
    return topic


def know_exhibitions(settings: DatabaseSettings) -> None:
    """Give a database the sites of the messages."""
    with closing(connect(settings, "bench")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "select n + 1, 'EXH_0' || n, 'Room ' || n from generate_series(0, %s) n",
            (SITES - 1,),
        )


def consumer_command(settings: DatabaseSettings, topic: str, log: Path) -> list[str]:
    """Return the command of a consumer as a user would start it."""
    return [
        sys.executable, str(PROJECT_DIR / "consumer.py"), "--topic", topic, "--log-file", str(log),
        "--db-host", settings.db_host, "--db-port", str(settings.db_port),
        "--db-name", settings.db_name, "--db-user", settings.db_user,
    ]  # fmt: skip


def environment_of(settings: DatabaseSettings, kafka: ApacheKafka) -> dict[str, str]:
    """Return what the consumer reads from the environment."""
    return {
        **password_of(settings),
        "BOOTSTRAP_SERVERS": kafka.bootstrap(),
        "SECURITY_PROTOCOL": "PLAINTEXT",
        "MUSEUM_LIVE_REJECT_OUT_OF_HOURS": "false",
    }


def drain_ours(run: Bench, kafka: ApacheKafka, topic: str, count: int) -> Drain:
    """Drain the first messages of the topic with consumer.py, its start included."""
    settings = run.fresh_database()
    know_exhibitions(settings)
    command = consumer_command(settings, topic, run.folder / "bench.log")
    seconds, peak = run_measured([*command, "--max-messages", str(count)], environment_of(settings, kafka))
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select (select count(*) from review) + (select count(*) from incident) "
            "+ (select count(*) from meta.rejected_records)"
        )
        (rows,) = cursor.fetchone() or (0,)
    assert rows == count, (rows, count)
    run.drop(settings)
    return Drain(f"consumer.py, {count:,} messages", count, seconds, peak)


def drain_bare(kafka: ApacheKafka, topic: str, count: int) -> Drain:
    """Poll the messages and do nothing with them."""
    with polling(kafka, topic) as consumer:
        started, taken = time.perf_counter(), 0
        while taken < count:
            taken += len([message.value() for message in consumer.consume(min(5_000, count - taken), 1.0)])
        return Drain("bare polling", count, time.perf_counter() - started)


def drain_row_at_a_time(run: Bench, kafka: ApacheKafka, topic: str, count: int) -> Drain:
    """Insert and commit each message by itself."""
    settings = run.fresh_database()
    know_exhibitions(settings)
    review = (
        "insert into review (exhibition_id, at, rating_id, source_id, position) values (%s, %s, %s, 1, %s) "
        "on conflict (source_id, position) do nothing"
    )
    incident = (
        "insert into incident (exhibition_id, at, incident_type_id, source_id, position) values (%s, %s, %s, 1, %s) "
        "on conflict (source_id, position) do nothing"
    )
    rejected = (
        "insert into meta.rejected_records (source, position, raw, reasons, run_id) "
        "values ('kafka://', %s, %s, '{bad}', gen_random_uuid()) on conflict (source, position) do nothing"
    )
    with closing(connect(settings, "bench")) as connection, polling(kafka, topic) as consumer:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "insert into event_source (kind, cluster, topic, partition, next_offset, run_id) "
                "values ('kafka', 'c', 't', 0, 0, gen_random_uuid())"
            )
        started = time.perf_counter()
        for number in range(count):
            message = consumer.poll(10)
            fields = json.loads(message.value())
            with connection.cursor() as cursor:
                if "at" not in fields or fields["site"] not in "012345":
                    cursor.execute(rejected, (str(number), message.value()))
                elif fields["val"] == -1:
                    cursor.execute(incident, (int(fields["site"]) + 1, fields["at"], fields["type"], number))
                else:
                    cursor.execute(review, (int(fields["site"]) + 1, fields["at"], fields["val"], number))
            connection.commit()
        seconds = time.perf_counter() - started
        assert run.events(settings) + run.count(settings, "event_source") > count * 0.9
    run.drop(settings)
    return Drain(f"row at a time, {count:,} messages", count, seconds)


@contextmanager
def polling(kafka: ApacheKafka, topic: str) -> Iterator[Consumer]:
    """Yield a plain consumer that has its partitions and its first messages at hand."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap(),
            "group.id": f"bench-{time.monotonic()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    while not consumer.assignment():
        consumer.poll(0.05)
    try:
        yield consumer
    finally:
        consumer.close()


def measure_latency(run: Bench, kafka: ApacheKafka, seconds: int, *, with_batch: bool) -> tuple[list[Latency], int]:
    """Produce presses at a steady pace beside a running consumer; return latencies and the consumer's peak memory."""
    settings = run.fresh_database()
    know_exhibitions(settings)
    topic = kafka.create_topic(PARTITIONS)
    command = consumer_command(settings, topic, run.folder / "bench.log")
    with (run.folder / "consumer.out").open("wb") as output:
        consumer = subprocess.Popen(
            command, env={**os.environ, **environment_of(settings, kafka)}, stdout=output, stderr=output
        )
        produce_steadily(kafka, topic, 2)  # warms everything up
        time.sleep(1)
        clear_presses(settings)
        batch = None
        if with_batch:
            batch = subprocess.Popen(
                [
                    sys.executable, str(PROJECT_DIR / "pipeline.py"), "--skip-extract", "--push",
                    "--data-dir", str(run.data_dir), "--log-file", str(run.folder / "batch.log"), *command[6:],
                ],
                env={**os.environ, **environment_of(settings, kafka)}, stdout=output, stderr=output,
            )  # fmt: skip
        sent = produce_steadily(kafka, topic, seconds)
        if batch is not None:
            assert batch.wait() == 0, "the batch pipeline failed"
        time.sleep(1)
        with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
            cursor.execute(LATENCIES)
            name = f"beside a batch load of {BATCH_ROWS:,}" if with_batch else "alone"
            found = [Latency(name, kind, rows, float(p50), float(p99)) for kind, rows, p50, p99 in cursor.fetchall()]
        consumer.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(consumer.pid, 0)
        consumer.returncode = os.waitstatus_to_exitcode(status)
    assert consumer.returncode == 0, (run.folder / "consumer.out").read_text()[-2000:]
    assert found[0].rows > 0.96 * sent, (found, sent)
    run.drop(settings)
    return found, usage.ru_maxrss // 1024


def clear_presses(settings: DatabaseSettings) -> None:
    """Forget the presses of the warming up, but not all of them: an empty table would be loaded in bulk."""
    with closing(connect(settings, "bench")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("delete from incident")
        cursor.execute("delete from review where review_id > (select min(review_id) from review)")


def produce_steadily(kafka: ApacheKafka, topic: str, seconds: int, partitions: int = PARTITIONS) -> int:
    """Send presses as they happen, spread evenly; return how many."""
    rng = random.Random(2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap(), "linger.ms": 1})
    began = time.monotonic()
    count = seconds * PRESSES_A_SECOND
    for number in range(count):
        while time.monotonic() < began + number / PRESSES_A_SECOND:
            producer.poll(0.0005)
        producer.produce(topic, json.dumps(event(rng, datetime.now(UTC))).encode(), partition=number % partitions)
    assert producer.flush(30) == 0
    return count


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--row-at-a-time", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-live-"))
    folder.chmod(0o755)
    kafka = ApacheKafka(folder / "kafka", kafka_libraries())
    server = EmbeddedServer(folder / "postgres", settings=(*SERVER_SETTINGS, "track_commit_timestamp = on"))
    run = Bench(folder, flags.messages, server)
    print(f"{flags.messages:,} messages in {PARTITIONS} partitions, {os.cpu_count()} cores")
    try:
        kafka.start()
        server.ensure_running()
        topic = fill_topic(kafka, flags.messages)
        drain_ours(run, kafka, topic, flags.messages // 10)  # warms up
        drains = [
            drain_bare(kafka, topic, flags.messages),
            drain_row_at_a_time(run, kafka, topic, flags.row_at_a_time),
            drain_ours(run, kafka, topic, flags.messages // 5),
            drain_ours(run, kafka, topic, flags.messages),
        ]
        slow = drains[1].rate
        table = [
            [d.name, f"{d.seconds:.2f}", f"{d.rate:,.0f}", f"{d.rate / slow:.1f}", d.peak_mb or ""] for d in drains
        ]
        print(tabulate(table, ["", "seconds", "a second", "x row at a time", "peak MB"], tablefmt="simple"))
        generate(run.data_dir / "bucket_data", BATCH_ROWS, FILES)
        latencies: list[Latency] = []
        for with_batch in (False, True):
            found, peak = measure_latency(run, kafka, flags.seconds, with_batch=with_batch)
            latencies += found
            print(f"{PRESSES_A_SECOND:,} messages a second {found[0].name}: the consumer's peak memory {peak} MB")
        rows = [[x.name, x.kind, f"{x.rows:,}", f"{x.p50:.3f}", f"{x.p99:.3f}"] for x in latencies]
        print(tabulate(rows, ["from produce to visible", "", "rows", "p50 s", "p99 s"], tablefmt="simple"))
        if flags.json:
            drained = [{**asdict(d), "rate": d.rate} for d in drains]
            flags.json.write_text(json.dumps([*drained, *(asdict(x) for x in latencies)], indent=1))
    finally:
        kafka.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
