"""make bench-hub: change detection of the people hub against the founding pattern, on the same rows and server.

The founding pattern reads the newest raw record of everybody, hashes it again in Python and compares. Each way is a
process of its own; making the records, in place of fetching them, counts for neither.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from etlkit.embedded import EmbeddedServer
from etlkit.logs import configure_logging
from etlkit.postgres import apply_schema, connect
from people_hub.bronze.ingestion import IngestionService
from people_hub.bronze.stream import Listing, Stream, key_of
from people_hub.hub_settings import META_FILE, SCHEMA_FILE, UmapiSettings
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.service import Options

SERVER_SETTINGS = ("shared_buffers = '256MB'", "max_wal_size = '4GB'")
BLOCK = 1000
BAR, TARGET, BAR_MB = 4.0, 8.0, 200
LATEST = """
    with latest_records as (
        select external_id, raw_data,
               row_number() over (partition by external_id order by ingested_at desc) as row_num
        from bronze.raw_entities
        where entity_type = :entity_type and source_system = :source_system
    )
    select external_id, raw_data from latest_records where row_num = 1
"""


@dataclass
class Measured:
    """What one process did."""

    name: str
    people: int
    seconds: float
    peak_mb: int
    created: int
    updated: int


def person(number: int, changed: int) -> dict[str, Any]:
    """Return one employment row, like the API gateway's."""
    job = f"{102900 + number % 60}" if number >= changed else "changed"
    return {
        "EmplId": f"{number:08}", "EmplRcd": 0, "UniqName": f"USER{number}", "Name": f"Surname{number},Given{number} M",
        "FirstName": f"Given{number}", "LastName": f"Surname{number}", "DepartmentId": f"{172500 + number % 900}",
        "Dept_Description": "Chemistry Dept", "SupervisorId": f"{number // 10:08}", "Jobcode": job,
        "UniversityJobTitle": "Lab Manager", "DepartmentJobTitle": "Lab Mgr Grp 3", "Work_Address1": "930 N Univ",
        "Work_Address2": "", "Work_Address3": None, "Work_City": "Ann Arbor", "Work_State": "MI",
        "Work_Postal": "48109", "Work_Country": "USA", "Work_Phone": f"734/555-{number % 10000:04}",
        "Work_Phone_Extension": "",
    }  # fmt: skip


class People:
    """Records in blocks, with the time that making them took."""

    def __init__(self, count: int, changed: int) -> None:
        self.count = count
        self.changed = changed
        self.seconds = 0.0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield everybody."""
        for first in range(0, self.count, BLOCK):
            started = time.perf_counter()
            block = [person(n, self.changed) for n in range(first, min(first + BLOCK, self.count))]
            self.seconds += time.perf_counter() - started
            yield from block


def run_ours(url: str, people: People) -> tuple[float, int, int]:
    """Bring everybody in by the hub's engine; return seconds, created, updated."""
    stream = Stream(
        "umich_api", "user", UmapiSettings, key_of("EmplId", "EmplRcd"), lambda _s, _r: Listing(iter(people)), str
    )
    with open(os.devnull, "w", encoding="utf-8") as console, tempfile.TemporaryDirectory() as folder:  # noqa: PTH123
        return _timed_run(url, people, stream, configure_logging("bench", Path(folder) / "log", console=console))


def _timed_run(url: str, people: People, stream: Stream, logger: logging.Logger) -> tuple[float, int, int]:
    """Run the engine with a real log; return seconds without making the records, created, updated."""
    started = time.perf_counter()
    service = IngestionService(url, stream, UmapiSettings.model_construct(), options=Options(), logger=logger)
    results = service.run_main_process()
    service.close()
    seconds = time.perf_counter() - started - people.seconds
    return seconds, results["records_created"], results["records_updated"]


def run_founding(url: str, people: People) -> tuple[float, int, int]:
    """Find what is new and changed as the founding document shows; nothing is stored."""
    records = list(people)
    with open(os.devnull, "w", encoding="utf-8") as console, tempfile.TemporaryDirectory() as folder:  # noqa: PTH123
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s - %(name)s - %(levelname)s - %(message)s",
            handlers=[logging.FileHandler(Path(folder) / "log"), logging.StreamHandler(console)],
        )
        return _founding_loop(url, records)


def _founding_loop(url: str, records: list[dict[str, Any]]) -> tuple[float, int, int]:
    """Compare everybody with what is stored, with the founding document's log lines."""
    logger = logging.getLogger("founding")
    started = time.perf_counter()
    adapter = PostgresAdapter(url)
    frame = adapter.query_to_dataframe(LATEST, {"entity_type": "user", "source_system": "umich_api"})
    existing = {row["external_id"]: founding_hash(row["raw_data"]) for _, row in frame.iterrows()}
    created = updated = 0
    for number, record in enumerate(records, 1):
        external_id = f"{record['EmplId']}:{record['EmplRcd']}"
        current = founding_hash(record)
        if external_id not in existing:
            created += 1
        elif existing[external_id] != current:
            updated += 1
        else:
            logger.debug(f"⏭️  Record unchanged: {external_id}")
        if number % 50 == 0:
            logger.info(f"Progress: {number}/{len(records)} processed ({created} created, {number - created} skipped)")
    adapter.close()
    return time.perf_counter() - started, created, updated


def founding_hash(record: dict[str, Any]) -> str:
    """Return the hash of a record as the founding document computes it."""
    significant = {name: record.get(name) for name in person(0, 0)}
    normalized = json.dumps(significant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(normalized.encode("utf-8")).hexdigest()


def work(way: str, url: str, count: int, changed: int) -> None:
    """Run one way in this process and print what it did."""
    people = People(count, changed)
    seconds, created, updated = (run_ours if way == "ours" else run_founding)(url, people)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "created": created, "updated": updated}))


def measure(name: str, way: str, url: str, count: int, changed: int = 0) -> Measured:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--work", way, "--people", str(count), "--changed", str(changed)]
    done = subprocess.run(command, env={**os.environ, "BENCH_URL": url}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    found = Measured(name, count, **json.loads(done.stdout.splitlines()[-1]))
    print(f"  {name}: {found.seconds:.2f} s, {found.peak_mb} MB", flush=True)
    return found


def _median(runs: list[Measured]) -> Measured:
    """Return the run that took the median time."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


def compare(server: EmbeddedServer, count: int, repeats: int, *, with_founding: bool) -> list[Measured]:
    """Load everybody, then look for changes both ways; every count is checked."""
    settings = server.ensure_database(f"bench_{count}")
    with closing(connect(settings, "bench")) as connection:
        apply_schema(connection, META_FILE)
        apply_schema(connection, SCHEMA_FILE)
    word = settings.db_password.get_secret_value()
    url = f"postgresql://{settings.db_user}:{word}@{settings.db_host}:{settings.db_port}/{settings.db_name}"
    results = [measure("ours: first load", "ours", url, count)]
    assert results[-1].created == count
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("vacuum analyze")
        cursor.execute("checkpoint")  # what the first load left to be written is not the comparison's
    ways = {"ours": "ours: nothing changed"}
    if with_founding:
        ways["founding"] = "founding pattern: nothing changed"
    runs = [measure(name, way, url, count) for _ in range(repeats) for way, name in ways.items()]
    assert all((run.created, run.updated) == (0, 0) for run in runs)
    results += [_median([run for run in runs if run.name == name]) for name in ways.values()]
    if with_founding:
        results.append(measure("founding pattern: 1 % changed", "founding", url, count, count // 100))
        assert (results[-1].created, results[-1].updated) == (0, count // 100)
    results.append(measure("ours: 1 % changed", "ours", url, count, count // 100))
    assert (results[-1].created, results[-1].updated) == (0, count // 100)
    server.drop_database(settings.db_name)
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", choices=("ours", "founding"), help=argparse.SUPPRESS)
    parser.add_argument("--changed", type=int, default=0, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.work:
        work(flags.work, os.environ["BENCH_URL"], flags.people, flags.changed)
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-hub-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "postgres", settings=SERVER_SETTINGS)
    print(f"{flags.people:,} people, then twice as many; {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    try:
        server.ensure_running()
        results = compare(server, flags.people, flags.repeats, with_founding=True)
        results += compare(server, 2 * flags.people, 1, with_founding=False)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    by_name = {(run.name, run.people): run for run in results}
    ours = by_name["ours: nothing changed", flags.people]
    founding = by_name["founding pattern: nothing changed", flags.people]
    table = [
        [run.name, f"{run.people:,}", f"{run.seconds:.2f}", f"{run.people / run.seconds:,.0f}", run.peak_mb]
        for run in results
    ]
    print(tabulate(table, ["", "people", "seconds", "people a second", "peak MB"], tablefmt="simple"))
    flat = [run.peak_mb for run in results if run.name.startswith("ours")]
    print(f"nothing changed: {founding.seconds / ours.seconds:.1f} times faster (bar {BAR:g}, target {TARGET:g})")
    print(f"our peak memory: {min(flat)} to {max(flat)} MB (bar {BAR_MB})")
    if flags.json:
        flags.json.write_text(json.dumps([asdict(run) for run in results], indent=1))


if __name__ == "__main__":
    main()
