"""make bench-museum: what the pipeline costs against psql's copy of the same rows, on the same server, in the same run.

Kiosk files are generated (seeded) in a temporary folder; a private Postgres of the benchmark's own holds everything.
The floor is psql's copy of the rows into one plain table without constraints; the reference is the plain way: pandas
concat, sort and to_csv, COPY to a staging table, INSERT with every constraint checked row by row.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
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
ADDED_ROWS = 100_000
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
    for site in range(SITES):
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

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.rows = rows
        self.server = EmbeddedServer(folder / "postgres", settings=SERVER_SETTINGS)
        self.results: list[Result] = []
        self.floor_seconds = 0.0
        self._databases = 0

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

    def measure_floor(self, data: Path, repeats: int) -> None:
        r"""Time psql \\copy of every file into one plain table."""
        seconds = []
        for _number in range(repeats):
            settings = self.fresh_database(with_schema=False)
            with closing(connect(settings, "bench")) as connection, connection, connection.cursor() as cursor:
                cursor.execute("create table plain (at timestamptz, site integer, val smallint, type double precision)")
            commands = ["begin"]
            commands += [f"\\copy plain from '{path}' with (format csv, header)" for path in sorted(data.glob("*.csv"))]
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

    def script(self, name: str, data_dir: Path, settings: DatabaseSettings | None, *flags: str) -> tuple[float, int]:
        """Run a root script on a data folder."""
        arguments = [sys.executable, str(PROJECT_DIR / name), "--data-dir", str(data_dir), *flags]
        arguments += ["--log-file", str(self.folder / "bench.log")]
        if settings is None:
            return run_measured(arguments, {})
        arguments += ["--db-host", settings.db_host, "--db-port", str(settings.db_port)]
        arguments += ["--db-name", settings.db_name, "--db-user", settings.db_user]
        return run_measured(arguments, password_of(settings))


def password_of(settings: DatabaseSettings) -> dict[str, str]:
    """Return the password for our scripts and for psql."""
    password = settings.db_password.get_secret_value()
    return {"DB_PASSWORD": password, "PGPASSWORD": password}


def plain_way(data: Path, work: Path, settings: DatabaseSettings) -> None:
    """Load as the founding document's illustration does: pandas, staging, row-wise checks. Runs in its own process."""
    import pandas as pd

    frame = pd.concat([pd.read_csv(path) for path in sorted(data.glob("*.csv"))])
    frame.sort_values("at").to_csv(work / "combined.csv", index=False)
    with closing(connect(settings, "plain way")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "select n + 1, 'EXH_0' || n, 'Room ' || n from generate_series(0, 5) n"
        )
        cursor.execute(
            "insert into event_source (kind, bucket, key, content_hash, run_id) "
            "values ('file', 'b', 'k', 'h', gen_random_uuid())"
        )
        cursor.execute(
            "create temp table staging (position bigserial, at timestamptz, site integer, val integer, type float)"
        )
        with (work / "combined.csv").open("rb") as file:
            cursor.copy_expert("copy staging (at, site, val, type) from stdin with (format csv, header)", file)
        cursor.execute(
            "insert into review (exhibition_id, at, rating_id, source_id, position) "
            "select site + 1, at, val, 1, position from staging where val <> -1 "
            "on conflict (source_id, position) do nothing"
        )
        cursor.execute(
            "insert into incident (exhibition_id, at, incident_type_id, source_id, position) "
            "select site + 1, at, type::smallint, 1, position from staging where val = -1 "
            "on conflict (source_id, position) do nothing"
        )


def measure(bench: Bench, *, repeats: int, with_plain_way: bool) -> None:
    """Run every measurement of one size."""
    data = bench.folder / "data"
    bucket = data / "bucket_data"
    generate(bucket, bench.rows, FILES)
    bench.server.ensure_running()
    bench.script("transform.py", data, None)  # warms the disk cache and the interpreter's
    bench.measure_floor(bucket, repeats)

    def fresh_transform() -> tuple[float, int]:
        shutil.rmtree(data / "combined_data", ignore_errors=True)
        return bench.script("transform.py", data, None)

    bench.note("transform", *median_of(fresh_transform, repeats), bench.rows, None)

    settings = bench.fresh_database()
    bench.note("load", *bench.script("load.py", data, settings), bench.events(settings), None)
    bench.drop(settings)

    def first_load() -> tuple[float, int]:
        nonlocal settings
        bench.drop(settings)
        settings = bench.fresh_database()
        shutil.rmtree(data / "combined_data", ignore_errors=True)
        return bench.script("pipeline.py", data, settings, "--skip-extract", "--push")

    bench.note("pipeline: first load", *median_of(first_load, repeats), bench.events(settings), (8, 5))

    def again() -> tuple[float, int]:
        return bench.script("pipeline.py", data, settings, "--skip-extract", "--push")

    bench.note("pipeline: nothing new", *median_of(again, repeats), bench.events(settings), (1.0, 0.5))
    generate(bucket, ADDED_ROWS, 1, seed=0.25, first=FILES)
    taken, peak = again()
    bench.note("pipeline: one file of 100,000 more", taken, peak, bench.events(settings), (2.5, 2.5))
    assert bench.events(settings) == bench.rows + ADDED_ROWS
    bench.drop(settings)
    (bucket / f"lmnh_hist_data_{FILES}.csv").unlink()
    if with_plain_way:
        settings = bench.fresh_database()
        program = [sys.executable, __file__, "--plain-way", str(bucket), settings.model_dump_json(), str(bench.folder)]
        bench.note(
            "reference: pandas, row-wise checks", *run_measured(program, password_of(settings)), bench.rows, None
        )
        assert bench.events(settings) == bench.rows
        bench.drop(settings)


def median_of(run: Callable[[], tuple[float, int]], repeats: int) -> tuple[float, int]:
    """Return the median seconds and the largest peak of some runs."""
    runs = [run() for _number in range(repeats)]
    return statistics.median(seconds for seconds, _ in runs), max(peak for _, peak in runs)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="What the pipeline costs against psql \\copy of the same rows.")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--without-plain-way", action="store_true", help="leave the slow reference out")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here too")
    parser.add_argument("--plain-way", nargs=3, metavar=("DATA", "SETTINGS", "WORK"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.plain_way:
        data, settings, work = flags.plain_way
        fields = {**json.loads(settings), "db_password": os.environ["DB_PASSWORD"]}
        plain_way(Path(data), Path(work), DatabaseSettings(**fields))
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-museum-"))
    folder.chmod(0o755)
    bench = Bench(folder, flags.rows)
    print(f"{flags.rows:,} rows in {FILES} files, {os.cpu_count()} cores, DuckDB {duckdb.__version__}")
    try:
        measure(bench, repeats=flags.repeats, with_plain_way=not flags.without_plain_way)
    finally:
        bench.server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    table = [
        [r.name, f"{r.seconds:.2f}", f"{r.ratio:.2f}" if r.ratio else "", r.bar, r.target, r.peak_mb, f"{r.rows:,}"]
        for r in bench.results
    ]
    print(tabulate(table, ["", "seconds", "x floor", "bar", "target", "peak MB", "rows checked"], tablefmt="simple"))
    if flags.json:
        flags.json.write_text(json.dumps([asdict(result) for result in bench.results], indent=1))


if __name__ == "__main__":
    main()
