"""make bench-scale SYSTEM=museum: the batch pipeline at growing sizes of one museum, whose presses come month by month.

A museum of 24 exhibitions over seven years has 100 million presses: 574,000 a year and exhibition, as the real day has.
Each file holds a million presses of its own days, in no order. After the usual steps two trials are made on the
full database: the index that presses had until version 5 of the schema, and presses partitioned by month.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import duckdb
from chromium_pages import CHROMIUM, measure_pages
from growth import MEGABYTE, Growth, Line, growth
from kiosk_bench import SERVER_SETTINGS, Bench, password_of, run_measured, write_exhibitions
from moto.server import ThreadedMotoServer
from psycopg2.sql import SQL
from tabulate import tabulate

from dashboard.catalogue import read_catalogue
from dashboard.figures import read_exhibition_figures, read_single_figures
from dashboard.safety_figures import read_safety_figures
from dashboard.selection import Selection
from dashboard.state import read_data_figures, read_older_emergencies, read_pulse
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import connect

TIMEZONE = "Europe/London"
FIRST_DAY = datetime(2016, 1, 4)
PRESSES_A_DAY = 1_573
"""Of one exhibition: the real day's 1,030 messages an hour of six exhibitions, in nine hours and a quarter."""

ARCHIVE_BEFORE = "2016-02"
PORT = 8601
FILE_ROWS = 1_000_000
ADDED_ROWS = 100_000
CHANGED_SHARE = 100
REJECTS_SHARE = 100
SLOW_SECONDS = 1.0
"""A slower question shows its plan."""

TABLES = ("review", "incident", "review_hour", "incident_hour", "meta.rejected_records", "event_source")
GENERATE = """
    copy (
        select strftime(
                   $first::timestamp + to_seconds((random() * $days)::bigint * 86400 + 31500 + (random() * 34200)::int),
                   '%Y-%m-%d %H:%M:%S'
               ) as "at",
               (random() * 1000000)::int % $sites as site,
               case when press < 0.035 then -1 else (random() * 1000)::int % 5 end as val,
               case when press < 0.001 then '1.0' when press < 0.035 then '0.0' end as type
        from (select random() as press from range($rows))
    ) to $path (format csv, header)
"""
CHANGE = """
    copy (
        select "at", site,
               case when val >= 0 and row_number() over () % $share = 0 then (val + 1) % 5 else val end as val, type
        from read_csv($path, types = {'at': 'varchar', 'type': 'varchar'})
    ) to $target (format csv, header)
"""
REJECTS = """
    insert into meta.rejected_records (source, position, raw, reasons, run_id, first_seen, last_seen, resolved_at)
    select 'kafka://c/lmnh/' || n %% 3, n::text, convert_to('{"at": "2026-01-05T15:23:12+00:00"}', 'UTF8'),
           array['bad_val'], gen_random_uuid(), now() - interval '400 days', now() - interval '400 days',
           now() - interval '399 days'
    from generate_series(1, %(rejects)s) n
"""
OPEN_REJECT = """
    insert into meta.rejected_records (source, position, raw, reasons, run_id)
    values ('kafka://c/lmnh/0', '0', '', array['bad_val'], gen_random_uuid())
"""
QUESTIONS = {
    "one exhibition, one day": """
        select count(*), avg(rating_id) from rating_info
        where exhibition_id = 3 and at >= %(day)s and at < %(day)s + interval '1 day'""",
    "all exhibitions, one month": """
        select exhibition_id, rating_id, count(*) from review
        where at >= %(day)s - interval '30 days' and at < %(day)s group by 1, 2""",
    "all exhibitions, one month, enable_seqscan = off": """
        set local enable_seqscan = off;
        select exhibition_id, rating_id, count(*) from review
        where at >= %(day)s - interval '30 days' and at < %(day)s group by 1, 2""",
    "one exhibition, one year": """
        select rating_id, count(*) from review
        where exhibition_id = 3 and at >= %(day)s - interval '365 days' and at < %(day)s group by 1""",
    "the last 20 of one exhibition within a week": """
        select * from rating_info
        where exhibition_id = 3 and at >= %(day)s - interval '7 days' and at < %(day)s order by at desc limit 20""",
    "the last 20 of one exhibition, ever": """
        select * from rating_info where exhibition_id = 3 order by at desc limit 20""",
    "the presses of one file": """
        select count(*) from review where source_id = (select min(source_id) from event_source)""",
    "the last 20 requests for help of one exhibition": """
        select * from request_info where exhibition_id = 3 order by at desc limit 20""",
}
INDEXES = """
    select relname, indexrelname, pg_relation_size(indexrelid), idx_scan
    from pg_stat_user_indexes
    where schemaname = 'public' and relname ~ '^(review|incident)' or indexrelname ~ '^rejected'
    order by pg_relation_size(indexrelid) desc
"""
PARTITIONED = """
    create table review_by_month (like review) partition by range (at);
    do $$
    declare
        month timestamptz := date_trunc('month', (select min(hour) from review_hour));
    begin
        while month <= (select max(hour) from review_hour) loop
            execute format('create table %I partition of review_by_month for values from (%L) to (%L)',
                           'review_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
            month := month + interval '1 month';
        end loop;
    end
    $$
"""
TRIALS = {
    "plain": {"table": "review_whole", "id": "review_id", "key": "source_id, position"},
    "by month": {"table": "review_by_month", "id": "review_id, at", "key": "source_id, position, at"},
}
FIRST_YEAR = "delete from {table} where at >= %(begin)s and at < %(begin)s + interval '1 year'"
MORE_ROWS = """
    insert into {table} (review_id, exhibition_id, at, rating_id, source_id, position)
    select 10000000000 + n, 1 + n %% 6, %(day)s - interval '1 day' + n * interval '0.5 second', n %% 5, 1,
           10000000000 + n
    from generate_series(1, %(rows)s) n
    on conflict ({key}) do nothing
"""


@dataclass(frozen=True)
class Size:
    """How large a museum is."""

    rows: int
    sites: int

    @property
    def name(self) -> str:
        """Return it as the tables say it."""
        return f"{self.rows // 1_000_000} M" if self.rows >= 1_000_000 else f"{self.rows // 1_000} k"

    @property
    def days(self) -> int:
        """Return over how many days its presses are spread."""
        return max(1, self.rows // (self.sites * PRESSES_A_DAY))

    @property
    def last_day(self) -> datetime:
        """Return its last whole day."""
        return (FIRST_DAY + timedelta(days=self.days)).replace(tzinfo=UTC)


SIZES = (Size(1_000_000, 6), Size(5_000_000, 6), Size(20_000_000, 12), Size(100_000_000, 24))
QUICK_SIZES = (Size(200_000, 6), Size(1_000_000, 6))


class MuseumGrowth:
    """One size of the museum: its files, its database and its steps."""

    def __init__(self, run: Bench, lines: Growth, size: Size) -> None:
        self.run = run
        self.lines = lines
        self.size = size
        self.settings = run.fresh_database()
        self.bucket = run.data_dir / "bucket_data"

    def measure(self) -> None:
        """Run every step."""
        self._generate(0, self.size.rows, 0, self.size.days)
        self._pipeline("first load", self.size.rows, "row")
        assert self.run.events(self.settings) == self.size.rows
        self._sizes()
        self._pipeline("nothing new", self.size.rows, "row")
        self._generate(900_000, ADDED_ROWS, self.size.days, 1)
        self._pipeline(f"a file of {ADDED_ROWS:,} more", ADDED_ROWS, "row")
        self._generate(900_001, ADDED_ROWS, self.size.days + 1, 1)
        with environment(MUSEUM_COMBINED_CSV="false"):
            self._pipeline(f"a file of {ADDED_ROWS:,} more, without the sorted file", ADDED_ROWS, "row")
        rows = self._change_a_file()
        self._pipeline("a changed file, 1 row in 100", rows, "row")
        assert self.run.events(self.settings) == self.size.rows + 2 * ADDED_ROWS
        self._figures()
        if shutil.which(CHROMIUM):
            self._pages()
        self._questions("")
        self._report()
        self._prune()
        self._print_indexes()
        shutil.rmtree(self.run.data_dir)
        self._statement("vacuum and analyze", "vacuum (analyze)")
        self._backup()
        self._archive()
        self._statement(
            "trial: index (exhibition_id, at)", "create index review_exhibition_at on review (exhibition_id, at)"
        )
        self.lines.lines[-1].disk_mb = round(
            self._ask("select pg_relation_size('review_exhibition_at')")[0][0] / MEGABYTE
        )
        self._questions("with index (exhibition_id, at): ")
        self._partitions()
        self.run.drop(self.settings)

    def _generate(self, first_number: int, rows: int, first_day: int, days: int) -> None:
        """Write files of a million presses, each of days of its own, and the exhibitions."""
        files = max(1, rows // FILE_ROWS)
        write_exhibitions(self.bucket, self.size.sites)
        with duckdb.connect(config={"threads": 1}) as database:
            database.execute("select setseed(0.5)")
            for number in range(files):
                begin = FIRST_DAY + timedelta(days=first_day + days * number // files)
                span = max(1, days * (number + 1) // files - days * number // files)
                path = str(self.bucket / f"lmnh_hist_data_{first_number + number}.csv")
                database.execute(
                    GENERATE,
                    {"first": begin, "days": span - 1, "sites": self.size.sites, "rows": rows // files, "path": path},
                )

    def _change_a_file(self) -> int:
        """Change one press in a hundred of the first file; return its rows."""
        path = self.bucket / "lmnh_hist_data_0.csv"
        changed = path.with_suffix(".changed")
        with duckdb.connect(config={"threads": 1}) as database:
            database.execute(CHANGE, {"path": str(path), "target": str(changed), "share": CHANGED_SHARE})
        changed.replace(path)
        return min(FILE_ROWS, self.size.rows)

    def _pipeline(self, step: str, units: int, unit: str) -> None:
        """Run the whole pipeline as a step."""
        self.lines.measure(
            step, self.size.name, (units, unit), self.settings,
            lambda: self.run.script("pipeline.py", self.settings, "--skip-extract", "--push")[1],
        )  # fmt: skip

    def _program(self, *arguments: str) -> int:
        """Run a command on the database; return its peak of memory in MB."""
        place = [
            "--db-host", self.settings.db_host, "--db-port", str(self.settings.db_port),
            "--db-name", self.settings.db_name, "--db-user", self.settings.db_user,
        ]  # fmt: skip
        return run_measured([sys.executable, *arguments, *place], password_of(self.settings))[1]

    def _statement(self, step: str, statement: str, parameters: dict[str, Any] | None = None, rows: int = 0) -> None:
        """Run one statement as a step, in a transaction of its own."""

        def execute() -> None:
            with closing(connect(self.settings, "bench")) as connection, connection.cursor() as cursor:
                connection.autocommit = True
                cursor.execute(statement, parameters)

        self.lines.measure(step, self.size.name, (rows or self.size.rows, "row"), self.settings, execute)

    def _sizes(self) -> None:
        """Put the disk that the database and the files take on the first load's line."""
        (database,) = self._ask("select pg_database_size(current_database())")[0]
        self.lines.lines[-1].disk_mb = round(database / MEGABYTE)
        for folder in ("bucket_data", "combined_data"):
            size = sum(path.stat().st_size for path in (self.run.data_dir / folder).rglob("*") if path.is_file())
            print(f"  {self.size.name} {folder}: {size / MEGABYTE:,.0f} MB", flush=True)
        self._table_sizes()

    def _table_sizes(self) -> None:
        """Print how large tables are, and their indexes."""
        rows = []
        for name in TABLES:
            sizes = self._ask("select pg_table_size(%s), pg_indexes_size(%s)", name, name)[0]
            rows.append([name, *(f"{size / MEGABYTE:,.1f}" for size in sizes)])
        print(tabulate(rows, [f"table, {self.size.name}", "MB", "indexes MB"], tablefmt="github"), flush=True)

    def _ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return a statement's rows."""
        with closing(connect(self.settings, "bench")) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def _figures(self) -> None:
        """Time what the pages read."""
        with closing(connect(self.settings, "bench")) as connection, connection.cursor() as cursor:
            catalogue = read_catalogue(cursor, TIMEZONE)
            assert catalogue.span is not None
            ids, now = catalogue.chosen_ids(), datetime.now(UTC)
            everything = Selection(catalogue.span, ids, TIMEZONE)
            looks = {
                "exhibitions, all days": lambda: read_exhibition_figures(cursor, catalogue, everything),
                "exhibitions, 30 days": lambda: read_exhibition_figures(
                    cursor, catalogue, Selection(everything.period.last(30), ids, TIMEZONE)
                ),
                "one exhibition": lambda: read_single_figures(
                    cursor, catalogue, Selection(everything.period, ids[:1], TIMEZONE)
                ),
                "safety, all days": lambda: read_safety_figures(cursor, catalogue, everything),
                "strip": lambda: read_pulse(cursor, now),
                "older emergencies": lambda: read_older_emergencies(cursor, TIMEZONE, now),
                "data": lambda: read_data_figures(cursor, now),
            }
            (counts,) = self._ask("select count(*) from review_hour")[0]
            for name, look in looks.items():
                seconds = median_seconds(look)
                self.lines.note(Line(f"page's figures: {name}", self.size.name, counts, "hourly count", seconds))

    def _pages(self) -> None:
        """Open the pages in Chromium, each again, as somebody does who clicks; Data draws a reject."""
        self._execute(OPEN_REJECT)
        for name, _first, again in measure_pages(self.run.folder, self.settings, PORT):
            self.lines.note(Line(f"page in Chromium: {name}", self.size.name, 1, "page", again))

    def _questions(self, prefix: str) -> None:
        """Time questions that somebody asks of the presses themselves."""
        for name, statement in QUESTIONS.items():
            self._question(f"own question: {prefix}{name}", statement)

    def _report(self) -> None:
        """Write the report of all days as cron does."""
        path = str(self.run.folder / "report.html")
        log = str(self.run.folder / "dashboard.log")
        self.lines.measure(
            "report, all days", self.size.name, (1, "report"), self.settings,
            lambda: self._program("-m", "dashboard", "--export", path, "--log-file", log),
        )  # fmt: skip

    def _prune(self) -> None:
        """Prune one reject a hundred presses, all of them old."""
        rejects = self.size.rows // REJECTS_SHARE
        with closing(connect(self.settings, "bench")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(REJECTS, {"rejects": rejects})
        self.lines.measure(
            "prune of old rejects", self.size.name, (rejects, "reject"), self.settings,
            lambda: self._program("-m", "etlkit", "rejects", "prune", "--older-than", "90d"),
        )  # fmt: skip
        assert self.run.count(self.settings, "review") > 0

    def _print_indexes(self) -> None:
        """Print each index's size, and how often the steps so far used it."""
        rows = [
            [table, name, f"{size / MEGABYTE:,.1f}", f"{scans:,}"] for table, name, size, scans in self._ask(INDEXES)
        ]
        print(tabulate(rows, ["table", f"index, {self.size.name}", "MB", "scans"], tablefmt="github"), flush=True)

    def _backup(self) -> None:
        """Dump the database and restore it beside itself."""
        dump = self.run.folder / "museum.dump"
        environment = password_of(self.settings)
        place = [
            "-h", self.settings.db_host, "-p", str(self.settings.db_port), "-U", self.settings.db_user,
        ]  # fmt: skip
        program = [str(self.run.server.binary("pg_dump")), *place, "-Fc", "-d", self.settings.db_name, "-f", str(dump)]
        self.lines.measure(
            "pg_dump -Fc", self.size.name, (self.size.rows, "row"), self.settings,
            lambda: run_measured(program, environment)[1],
        )  # fmt: skip
        self.lines.lines[-1].disk_mb = round(dump.stat().st_size / MEGABYTE)
        restored = self.run.fresh_database(with_schema=False)
        program = [str(self.run.server.binary("pg_restore")), *place, "-j", "2", "-d", restored.db_name, str(dump)]
        self.lines.measure(
            "pg_restore -j 2", self.size.name, (self.size.rows, "row"), restored,
            lambda: run_measured(program, environment)[1],
        )  # fmt: skip
        assert self.run.events(restored) == self.run.events(self.settings)
        self.run.drop(restored)
        dump.unlink()

    def _archive(self) -> None:
        """Move the first month to a stand-in of S3 and bring it back."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        s3 = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        s3.start()
        bucket, endpoint = f"archive-{self.size.rows}", "http://{}:{}".format(*s3.get_host_and_port())
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket=bucket)
        (reviews,) = self._ask("select count(*) from review where at < %s", f"{ARCHIVE_BEFORE}-01Z")[0]
        place = {
            "MUSEUM_ARCHIVE": f"s3://{bucket}/", "MUSEUM_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY": "x",
            "AWS_SECRET_KEY": "y",
        }  # fmt: skip
        log = ("--log-file", str(self.run.folder / "archive.log"))
        with environment(**place):
            for step, month in (("export", ARCHIVE_BEFORE), ("remove", ARCHIVE_BEFORE), ("restore", "2016-01")):
                self.lines.measure(
                    f"archive: {step} of a month", self.size.name, (reviews, "review"), self.settings,
                    lambda step=step, month=month: self._program("archive.py", step, month, *log),
                )  # fmt: skip
        assert self._ask("select count(*) from review where at < %s", f"{ARCHIVE_BEFORE}-01Z") == [(reviews,)]
        s3.stop()

    def _partitions(self) -> None:
        """Hold presses by month against a plain table: copying, keys, more rows, questions, dropping a year."""
        self._execute("create table review_whole (like review)")
        self._execute(PARTITIONED)
        for kind, table in TRIALS.items():
            for step, statement in {
                "copy all presses": "insert into {table} select * from review",
                "keys": "alter table {table} add primary key ({id}), add unique ({key}); "
                "create index on {table} using brin (at) with (pages_per_range = 32)",
                "analyze": "vacuum (analyze) {table}",
            }.items():
                self._statement(f"trial {kind}: {step}", statement.format(**table))
            more = {"day": self.size.last_day, "rows": ADDED_ROWS}
            step = f"trial {kind}: {ADDED_ROWS:,} more"
            self._statement(step, MORE_ROWS.format(**table), more, rows=ADDED_ROWS)
            for name in ("all exhibitions, one month", "one exhibition, one year", "the presses of one file"):
                self._question(
                    f"trial {kind}: {name}", QUESTIONS[name].replace("from review", f"from {table['table']}")
                )
        begin = {"begin": FIRST_DAY.replace(month=1, day=1, tzinfo=UTC)}
        self._statement("trial plain: delete the first year", FIRST_YEAR.format(**TRIALS["plain"]), begin)
        self._statement("trial plain: vacuum after it", "vacuum review_whole")
        of_parts = "select inhrelid::regclass::text from pg_inherits where inhparent = 'review_by_month'::regclass"
        months = [name for (name,) in self._ask(of_parts) if name.startswith(f"review_{FIRST_DAY.year}_")]
        self._statement("trial by month: drop the first year", f"drop table {', '.join(months)}")
        self._execute("drop table review_whole, review_by_month")

    def _question(self, step: str, statement: str) -> None:
        """Time a question; a slow one shows its plan."""
        with closing(connect(self.settings, "bench")) as connection, connection.cursor() as cursor:

            def ask() -> None:
                cursor.execute(statement, {"day": self.size.last_day})
                cursor.fetchall()

            taken = median_seconds(ask)
            self.lines.note(Line(step, self.size.name, 1, "question", taken))
            if taken > SLOW_SECONDS and statement.lstrip().startswith("select"):
                cursor.execute(SQL("explain {}").format(SQL(statement)), {"day": self.size.last_day})
                print("\n".join(f"    {line}" for (line,) in cursor.fetchall()), flush=True)

    def _execute(self, statement: str) -> None:
        """Run one statement outside of the figures."""
        with closing(connect(self.settings, "bench")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement)


@contextmanager
def environment(**settings: str) -> Iterator[None]:
    """Let the programs find settings in the environment."""
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]


def median_seconds(look: Any, repeats: int = 3) -> float:
    """Return the median seconds of some looks after a first one that warms up."""
    look()
    seconds = []
    for _number in range(repeats):
        started = time.perf_counter()
        look()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[repeats // 2]


@contextmanager
def private_server(folder: Path | None) -> Iterator[Bench]:
    """Yield a bench in a temporary folder, which goes with its server."""
    place = Path(tempfile.mkdtemp(prefix="bench-scale-", dir=folder))
    place.chmod(0o755)
    run = Bench(place, 0, EmbeddedServer(place / "postgres", settings=(*SERVER_SETTINGS, "max_wal_size = '8GB'")))
    try:
        run.server.ensure_running()
        version = subprocess.run(
            [run.server.binary("postgres"), "--version"], check=True, capture_output=True, text=True
        )
        print(f"{version.stdout.strip()}, DuckDB {duckdb.__version__}", flush=True)
        yield run
    finally:
        run.server.stop()
        shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    """Run the museum at every size and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="minutes: 0.2 and 1 million presses")
    parser.add_argument("--up-to", type=int, metavar="ROWS", help="leave larger sizes out")
    parser.add_argument("--folder", type=Path, help="where data and server lie; 60 GB for 100 million presses")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    sizes = QUICK_SIZES if flags.quick else SIZES
    with private_server(flags.folder) as run, growth("Museum, batch", sizes[1].name, flags.json) as lines:
        for size in sizes:
            if not flags.up_to or size.rows <= flags.up_to:
                MuseumGrowth(run, lines, size).measure()


if __name__ == "__main__":
    main()
