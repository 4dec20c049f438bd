"""What the benchmarks share: generated kiosk files, a private Postgres, the floor and the table of results.

The floor is psql's copy of the rows into one plain table without constraints, on the same server, in the same run.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import psycopg2.sql
from tabulate import tabulate

PROJECT_DIR = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT_DIR))

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect
from etlkit.settings import DatabaseSettings

SITES = 6
FILES = 20
SERVER_SETTINGS = ("shared_buffers = '256MB'", "max_wal_size = '4GB'")
GENERATE = """
    copy (
        select strftime(
                   timestamp '2023-01-02 08:45:00'
                   + to_seconds((random() * 700)::int * 86400 + (random() * 34000)::int),
                   '%Y-%m-%d %H:%M:%S'
               ) as "at",
               (random() * 1000)::int % $sites as site,
               case when press < 0.035 then -1 else (random() * 1000)::int % 5 end as val,
               case when press < 0.001 then '1.0' when press < 0.035 then '0.0' end as type
        from (select random() as press from range($rows))
    ) to $path (format csv, header)
"""


@dataclass
class Result:
    """One line of the table."""

    name: str
    seconds: float
    ratio: float | None
    peak_mb: int | None
    rows: int
    bar: float | None = None
    target: float | None = None


def generate(folder: Path, rows: int, files: int, seed: float = 0.5, first: int = 0) -> None:
    """Write kiosk files and the exhibitions that they need."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute("select setseed($seed)", {"seed": seed})
        for number in range(first, first + files):
            path = str(folder / f"lmnh_hist_data_{number}.csv")
            database.execute(GENERATE, {"sites": SITES, "rows": rows // files, "path": path})
    write_exhibitions(folder, SITES)


def write_exhibitions(folder: Path, sites: int) -> None:
    """Write a file for each exhibition."""
    folder.mkdir(parents=True, exist_ok=True)
    for site in range(sites):
        document = {"EXHIBITION_ID": f"EXH_{site:02}", "EXHIBITION_NAME": f"Room {site}", "FLOOR": "1"}
        (folder / f"lmnh_exhibition_room{site}.json").write_text(json.dumps(document))


def run_measured(arguments: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Run a program; return its seconds and its peak memory in MB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(arguments, env={**os.environ, **environment}, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 3):
            output.seek(0)
            raise SystemExit(f"{arguments} ended with {process.returncode}: {output.read().decode()[-2000:]}")
    return seconds, usage.ru_maxrss // 1024


class Bench:
    """One benchmark: data, server and results."""

    def __init__(self, folder: Path, rows: int, server: EmbeddedServer | None = None) -> None:
        self.folder = folder
        self.rows = rows
        self.server = server or EmbeddedServer(folder / "postgres", settings=SERVER_SETTINGS)
        self.results: list[Result] = []
        self.floor_seconds = 0.0
        self._databases = 0

    @property
    def data_dir(self) -> Path:
        """Return where the generated files lie."""
        return self.folder / "data"

    def fresh_database(self, *, with_schema: bool = True) -> DatabaseSettings:
        """Return a new database, the server's buffers flushed."""
        self._databases += 1
        settings = self.server.ensure_database(f"bench_{self._databases}")
        with closing(connect(settings, "bench")) as connection:
            if with_schema:
                apply_schema(connection, PROJECT_DIR / "schema.sql")
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("checkpoint")
        return settings

    def drop(self, settings: DatabaseSettings) -> None:
        """Drop a database, so that the disk stays free."""
        self.server.drop_database(settings.db_name)

    def note(self, name: str, seconds: float, peak_mb: int | None, rows: int, bars: tuple[float, float] | None) -> None:
        """Keep a result and print it."""
        ratio = seconds / self.floor_seconds if self.floor_seconds else None
        bar, target = bars or (None, None)
        self.results.append(Result(name, seconds, ratio, peak_mb, rows, bar, target))
        print(f"  {name}: {seconds:.2f} s", flush=True)

    def count(self, settings: DatabaseSettings, table: str) -> int:
        """Return a table's rows."""
        with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
            cursor.execute(psycopg2.sql.SQL("select count(*) from {}").format(psycopg2.sql.Identifier(table)))
            return int((cursor.fetchone() or (0,))[0])

    def events(self, settings: DatabaseSettings) -> int:
        """Return the rows of review and incident."""
        return self.count(settings, "review") + self.count(settings, "incident")

    def measure_floor(self, repeats: int) -> None:
        r"""Time psql \\copy of every file into one plain table."""
        seconds = []
        for _number in range(repeats):
            settings = self.fresh_database(with_schema=False)
            with closing(connect(settings, "bench")) as connection, connection, connection.cursor() as cursor:
                cursor.execute("create table plain (at timestamptz, site integer, val smallint, type double precision)")
            commands = ["begin"]
            commands += [
                f"\\copy plain from '{path}' with (format csv, header)"
                for path in sorted((self.data_dir / "bucket_data").glob("*.csv"))
            ]
            script = self.folder / "floor.sql"
            script.write_text(";\n".join(commands[:1]) + ";\n" + "\n".join(commands[1:]) + "\ncommit;\n")
            taken, _ = run_measured(self.psql(settings, script), password_of(settings))
            seconds.append(taken)
            rows = self.count(settings, "plain")
            self.drop(settings)
        assert rows == self.rows, (rows, self.rows)
        self.floor_seconds = statistics.median(seconds)
        self.note("floor: psql \\copy, no constraints", self.floor_seconds, None, rows, None)

    def psql(self, settings: DatabaseSettings, script: Path) -> list[str]:
        """Return the command that runs a script with psql."""
        return [
            str(self.server.binary("psql")), "-q", "-v", "ON_ERROR_STOP=1", "-h", settings.db_host,
            "-p", str(settings.db_port), "-U", settings.db_user, "-d", settings.db_name, "-f", str(script),
        ]  # fmt: skip

    def script(self, name: str, settings: DatabaseSettings | None, *flags: str) -> tuple[float, int]:
        """Run a root script on the generated files."""
        arguments = [sys.executable, str(PROJECT_DIR / name), "--data-dir", str(self.data_dir), *flags]
        arguments += ["--log-file", str(self.folder / "bench.log")]
        if settings is None:
            return run_measured(arguments, {})
        arguments += ["--db-host", settings.db_host, "--db-port", str(settings.db_port)]
        arguments += ["--db-name", settings.db_name, "--db-user", settings.db_user]
        return run_measured(arguments, password_of(settings))

    def first_load(self) -> tuple[float, int]:
        """Run the whole pipeline into an empty database; return seconds and peak memory."""
        shutil.rmtree(self.data_dir / "combined_data", ignore_errors=True)
        settings = self.fresh_database()
        measured = self.script("pipeline.py", settings, "--skip-extract", "--push")
        rows = self.events(settings)
        assert rows == self.rows, (rows, self.rows)
        self.drop(settings)
        return measured

    def print_table(self) -> None:
        """Print all results."""
        table = [
            [r.name, f"{r.seconds:.2f}", f"{r.ratio:.2f}" if r.ratio else "", r.bar, r.target, r.peak_mb, f"{r.rows:,}"]
            for r in self.results
        ]
        header = ["", "seconds", "x floor", "bar", "target", "peak MB", "rows checked"]
        print(tabulate(table, header, tablefmt="simple"))


def password_of(settings: DatabaseSettings) -> dict[str, str]:
    """Return the password for our scripts and for psql."""
    password = settings.db_password.get_secret_value()
    return {"DB_PASSWORD": password, "PGPASSWORD": password}


@contextmanager
def bench(rows: int, json_path: Path | None) -> Iterator[Bench]:
    """Yield a benchmark in a folder of its own; print its results, and write them as JSON, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bench-museum-"))
    folder.chmod(0o755)
    run = Bench(folder, rows)
    print(f"{rows:,} rows in {FILES} files, {os.cpu_count()} cores, DuckDB {duckdb.__version__}")
    try:
        generate(run.data_dir / "bucket_data", rows, FILES)
        run.server.ensure_running()
        yield run
    finally:
        run.server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    run.print_table()
    if json_path:
        json_path.write_text(json.dumps([asdict(result) for result in run.results], indent=1))


def median_of(run: Callable[[], tuple[float, int]], repeats: int) -> tuple[float, int]:
    """Return the median seconds and the largest peak of some runs."""
    runs = [run() for _number in range(repeats)]
    return statistics.median(seconds for seconds, _ in runs), max(peak for _, peak in runs)
