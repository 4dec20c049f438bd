"""make bench-file_monitoring: the file monitor on large files, and beside pandas, Great Expectations and Frictionless.

One part has the worker score objects of one and two gigabytes from S3 on this machine and looks at its memory. The
other scores one file by every way, in turn in this call, a process each (`quality_ways.py`). All use every rule;
of a repeated key some count every row, some all but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from quality_ways import DEFINITION
from tabulate import tabulate

import etlkit
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect, only_value
from etlkit.settings import DatabaseSettings
from etlkit.testing import make_server_home
from file_monitoring.demo import SCHEMA_FILE, client, environment_of, event_of, make_bucket_and_queue
from file_monitoring.monitor_settings import PROJECT_DIR
from file_monitoring.sample_files import AGENCY, BUCKET

HEADER = "id,email,status,salary,start_date,note\n"
SUITE = Path(etlkit.__file__).resolve().parents[1]
PEERS = {"great_expectations": 4.0, "frictionless": 10.0, "pandas": 2.0}
TARGETS = {"pandas": 5.0}
BAR_MB, TARGET_MB, BAR_GROWTH = 450, 300, 1.25
BLOCK = 20_000
FIRST_EVENT = datetime(2015, 1, 1, 10, tzinfo=UTC)


def main() -> None:
    """Measure what the flags ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=4_000_000, help="rows of the file that every way scores (4,000,000)"
    )
    parser.add_argument(
        "--sizes", type=float, nargs="*", default=[1.0, 2.0], metavar="GB", help="objects for the worker (1 2)"
    )
    parser.add_argument("--repeats", type=int, default=1, help="how often each way is run (1)")
    parser.add_argument("--ways", nargs="*", default=["ours", "judge", *PEERS], help="which ways")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    flags = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-file-monitoring-"))
    try:
        figures = {
            "ways": compare_ways(folder, flags.rows, flags.ways, flags.repeats),
            "worker": list(run_worker(folder, flags.sizes)),
        }
    finally:
        shutil.rmtree(folder)
    print(
        f"\nPython {sys.version.split()[0]}, DuckDB {version('duckdb')}, Django {version('django')}, "
        f"{os.cpu_count()} cores"
    )
    if flags.json:
        flags.json.write_text(json.dumps(figures, indent=1))


def rows_of(count: int, seed: int = 1815) -> Iterator[str]:
    """Yield blocks of rows, in which some lack an e-mail, some have a wrong date, and a few ids stand twice."""
    chance = random.Random(seed)
    for start in range(1, count + 1, BLOCK):
        lines = []
        for number in range(start, min(start + BLOCK, count + 1)):
            email = f"person{number}@example.org" if number % 5_000 else ""
            day = f"20{number % 25:02}-0{1 + number % 9}-1{number % 10}" if number % 7_000 else "2026-02-30"
            key = number if number % 400_000 else number - 1
            status = "active" if number % 3 else ""
            lines.append(f"{key},{email},{status},{chance.random() * 1e6:.2f},{day},{'x' * (number % 20)}\n")
        yield "".join(lines)


def write_rows(path: Path, *, rows: int | None = None, size: int | None = None) -> int:
    """Write so many rows, or rows until a file has a size; return how many bytes it has."""
    with path.open("w") as file:
        written = file.write(HEADER)
        for block in rows_of(rows or 1 << 40):
            written += file.write(block)
            if size and written >= size:
                break
    return written


def compare_ways(folder: Path, rows: int, ways: list[str], repeats: int) -> dict[str, Any]:
    """Score one file by every way, in turn; print and return medians, ratios and memory."""
    if not ways:
        return {}
    path = folder / "people.csv"
    size = write_rows(path, rows=rows)
    print(f"{rows:,} rows, {size / 1e6:,.0f} MB, every rule; median of {repeats}", flush=True)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way in ways:
            peer = SUITE / ".local" / "peers" / way / "bin" / "python"
            program = str(peer) if way in PEERS and way != "pandas" else sys.executable
            done = subprocess.run(
                [program, str(Path(__file__).with_name("quality_ways.py")), way, str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{way} failed: {done.stderr[-2000:]}")
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
    figures = {}
    for way, found in runs.items():
        middle = sorted(found, key=lambda one: one["seconds"])[len(found) // 2]
        figures[way] = {**middle, "peak_mb": max(one["peak_mb"] for one in found)}
    ours = figures["ours"]["seconds"] if "ours" in figures else None
    table = [
        (
            way,
            one["seconds"],
            one["peak_mb"],
            round(one["seconds"] / ours, 1) if ours else None,
            PEERS.get(way),
            TARGETS.get(way),
            json.dumps(one["found"]),
        )
        for way, one in figures.items()
    ]
    headers = ["way", "seconds", "peak MB", "x ours", "bar", "target", "found"]
    print(tabulate(table, headers, tablefmt="simple", missingval=""), flush=True)
    path.unlink()
    return figures


def run_worker(folder: Path, sizes: list[float]) -> Iterator[dict[str, Any]]:
    """Have the worker score objects of some sizes; yield its seconds and memory."""
    if not sizes:
        return
    with worker_place(folder) as place:
        first = None
        for number, size in enumerate(sizes):
            path = folder / "people.csv"
            written = write_rows(path, size=int(size * 1e9))
            key = place.send(path, number)
            started = time.perf_counter()
            status, peak = place.ended(place.start())
            seconds = time.perf_counter() - started
            place.delete(key)
            first = first or peak
            told = {
                "gb": written / 1e9,
                "seconds": round(seconds, 1),
                "peak_mb": peak,
                "x_first": round(peak / first, 2),
                "status": status,
            }
            print(
                f"worker: {told['gb']:.1f} GB in {told['seconds']} s, peak {peak} MB "
                f"(bar {BAR_MB}, target {TARGET_MB}), "
                f"{told['x_first']} times the first (bar {BAR_GROWTH})",
                flush=True,
            )
            yield told


@dataclass
class WorkerPlace:
    """A bucket, a queue and a database, and workers on them."""

    endpoint: str
    queue_url: str
    database: DatabaseSettings
    folder: Path

    def __post_init__(self) -> None:
        """Make the clients once: each takes longer than a small file."""
        self.s3, self.sqs = client("s3", self.endpoint), client("sqs", self.endpoint)

    def send(self, path: Path, number: int) -> str:
        """Move a file into the bucket and tell the queue; return its key."""
        key = f"{AGENCY}/people_{number}.csv"
        size = path.stat().st_size
        self.s3.upload_file(str(path), BUCKET, key)
        path.unlink()
        etag = self.s3.head_object(Bucket=BUCKET, Key=key)["ETag"]
        at = FIRST_EVENT + timedelta(days=number)  # a file is expected once a day
        body = event_of(key, etag, size, f"{at:%Y-%m-%dT%H:%M:%SZ}")
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)
        return key

    def delete(self, key: str) -> None:
        """Take an object away again."""
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def start(self) -> subprocess.Popen[bytes]:
        """Start a worker that ends when no message is left."""
        environment = {
            **os.environ, **environment_of(self.database, self.endpoint, self.queue_url), "TMPDIR": str(self.folder),
            "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        command = [sys.executable, str(PROJECT_DIR / "manage.py"), "run_worker", "--once"]
        return subprocess.Popen(command, env=environment)

    def ended(self, worker: subprocess.Popen[bytes]) -> tuple[int, int]:
        """Wait for a worker; return its status and its peak of memory in MB."""
        _, status, used = os.wait4(worker.pid, 0)
        worker.returncode = os.waitstatus_to_exitcode(status)
        return worker.returncode, used.ru_maxrss // 1024


@contextmanager
def worker_place(folder: Path) -> Iterator[WorkerPlace]:
    """Yield a place whose database expects the files of people."""
    home = make_server_home("bench")
    server = EmbeddedServer(home)
    moto = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "5719"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        database = server.ensure_database("bench")
        endpoint = "http://127.0.0.1:5719"
        wait_for(endpoint)
        url = make_bucket_and_queue(endpoint)
        client("s3", endpoint).put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
        with closing(connect(database, "bench")) as connection:
            apply_schema(connection, SCHEMA_FILE)
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    "insert into reporting.monitoring_file_schema_definition (name, definition, created_at, "
                    "updated_at) values ('people', %s, now(), now()) returning id",
                    (json.dumps(DEFINITION),),
                )
                cursor.execute(
                    "insert into reporting.monitoring_file (s3_url, file_name, range, is_active, agency_slug, "
                    "notify_slack, is_missing, schema_definition_id) "
                    "values ('', 'people_*.csv', '1.d', true, %s, false, false, %s)",
                    (AGENCY, only_value(cursor)),
                )
        yield WorkerPlace(endpoint, url, database, folder)
    finally:
        moto.kill()
        moto.wait()
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def wait_for(endpoint: str) -> None:
    """Wait for the stand-in."""
    s3: Any = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",  # noqa: S106 - a stand-in's
    )
    for _ in range(100):
        try:
            s3.list_buckets()
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main()
