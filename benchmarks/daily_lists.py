"""make bench-binge_works: a day of popular shows on thirty days of history, against the founding way and row at a time.

Each way reads the same raw pages and has a database of its own, with the history that it wrote itself: the founding way
tracks every column, so nearly every show gets a version a day. Bare COPY into the staging table is the floor.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from psycopg2.extras import execute_batch
from tabulate import tabulate

from binge_works.binge_settings import META_FILE, SCHEMA_FILE
from binge_works.loading import Conditions, Loaded, run_list
from binge_works.popular_lists import SHOWS
from binge_works.raw_pages import RawPages, keep_pages, open_pages, save_pages
from binge_works.sample_tmdb.sample_lists import sample_list
from binge_works.sample_tmdb.stand_in import StandIn
from binge_works.tmdb import Page
from etlkit.copying import copy_rows
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect
from etlkit.settings import DatabaseSettings

SERVER_SETTINGS = ("shared_buffers = '256MB'", "max_wal_size = '4GB'")
FIRST_DAY = date(2026, 1, 1)
HISTORY_DAYS = 30
BARS = {"founding way": (1.5, 2.5), "one statement a row": (5.0, 8.0)}
COLUMNS = (
    "id", "name", "original_name", "overview", "first_air_date", "popularity", "vote_average", "vote_count",
    "poster_path", "backdrop_path", "original_language", "genre_ids", "origin_country", "adult",
)  # fmt: skip
NAMES = ", ".join(COLUMNS)
VALUES = ", ".join(["%s"] * len(COLUMNS))
UPSERT = (
    f"insert into tmdb_data.dim_popular_shows ({NAMES}) {{source}} on conflict (id) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    + ", last_updated = now() where "
    + " or ".join(f"dim_popular_shows.{name} is distinct from excluded.{name}" for name in COLUMNS[1:])
)
FOUNDING_HISTORY = (
    "create temp table changed on commit drop as select s.* from staging.shows s "
    "left join tmdb_data.dim_shows_history h on h.id = s.id and h.is_current "
    "where s.original_language = 'en' and (h.id is null or "
    + " or ".join(f"h.{name} is distinct from s.{name}" for name in COLUMNS[1:])
    + ")",
    (
        "update tmdb_data.dim_shows_history h set expiration_date = %(day)s, is_current = false "
        "from changed c where h.id = c.id and h.is_current"
    ),
    f"insert into tmdb_data.dim_shows_history (id_sk, {NAMES}, effective_date, is_current) "
    "select (select coalesce(max(id_sk), 1000000) from tmdb_data.dim_shows_history) + row_number() over (), "
    + ", ".join(f"c.{name}" for name in COLUMNS)
    + ", %(day)s, true from changed c",
)


STAGE_ONE = f"insert into staging.shows ({NAMES}, rank, as_of, run_id) values ({VALUES}, 0, %s, %s)"
UPSERT_ONE = UPSERT.format(source=f"values ({VALUES})")
FIND_ONE = f"select {NAMES} from tmdb_data.dim_shows_history where id = %s and is_current"
CLOSE_ONE = (
    "update tmdb_data.dim_shows_history set expiration_date = %s, is_current = false where id = %s and is_current"
)
OPEN_ONE = f"insert into tmdb_data.dim_shows_history ({NAMES}, effective_date, is_current) values ({VALUES}, %s, true)"


def pages_of(day: date, rows: int) -> list[Page]:
    """Return a day's list of shows in pages of twenty."""
    items = sample_list("tv", day, items=rows)
    for item in items:
        item["original_language"] = "en"
    return [Page(n // 20 + 1, items[n : n + 20], len(items) // 20) for n in range(0, len(items), 20)]


def tuples_of(raw: RawPages) -> list[tuple[Any, ...]]:
    """Return what the founding way makes of the pages: a tuple an item, the first of each id."""
    found: dict[int, tuple[Any, ...]] = {}
    for _place, item in raw.items():  # noqa: PERF102 - no dictionary
        values = [item.get(name) for name in COLUMNS]
        values[4] = values[4] or None
        values[11], values[12] = json.dumps(values[11]), json.dumps(values[12])
        found.setdefault(item["id"], tuple(values))
    return list(found.values())


def ours(database: DatabaseSettings, raw: RawPages) -> None:
    """Load the day as the command does."""
    conditions = Conditions(database, logging.getLogger("bench"))
    run_list(SHOWS, Loaded(raw.as_of), conditions, lambda _folder: raw)


def ours_tracking_all(database: DatabaseSettings, raw: RawPages) -> None:
    """Load the day with a version for every change of popularity, as the founding way has it."""
    conditions = Conditions(database, logging.getLogger("bench"), track_metrics=True)
    run_list(SHOWS, Loaded(raw.as_of), conditions, lambda _folder: raw)


def founding(database: DatabaseSettings, raw: RawPages) -> None:
    """Load the day as founded: execute_batch into staging, the upsert, history on all columns; a commit a step."""
    marks = ", ".join(["%s"] * len(COLUMNS))
    with closing(connect(database, "founding")) as connection, connection.cursor() as cursor:
        cursor.execute("truncate staging.shows")
        connection.commit()
        insert = (
            f"insert into staging.shows ({NAMES}, rank, as_of, run_id) values ({marks}, 0, '{raw.as_of}', '{uuid4()}') "
            "on conflict do nothing"
        )
        execute_batch(cursor, insert, tuples_of(raw), page_size=1000)
        connection.commit()
        cursor.execute(UPSERT.format(source=f"select {NAMES} from staging.shows where original_language = 'en'"))
        connection.commit()
        for statement in FOUNDING_HISTORY:
            cursor.execute(statement, {"day": raw.as_of})
        connection.commit()


def row_at_a_time(database: DatabaseSettings, raw: RawPages) -> None:
    """Load the day with a statement a row for each table."""
    with closing(connect(database, "row at a time")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("delete from staging.shows")
        run_id = str(uuid4())
        for values in tuples_of(raw):
            cursor.execute(STAGE_ONE, (*values, raw.as_of, run_id))
            cursor.execute(UPSERT_ONE, values)
            cursor.execute(FIND_ONE, values[:1])
            if cursor.fetchone() != values:
                cursor.execute(CLOSE_ONE, (raw.as_of, values[0]))
                cursor.execute(OPEN_ONE, (*values, raw.as_of))


def bare_copy(database: DatabaseSettings, raw: RawPages) -> None:
    """Copy the day's rows into the staging table."""
    order = (*SHOWS.fields,)
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in tuples_of(raw)]
    run_id = uuid4()
    with closing(connect(database, "copy")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("truncate staging.shows")
        lines = ((*(row[name] for name in order), rank, raw.as_of, run_id) for rank, row in enumerate(rows))
        copy_rows(cursor, SHOWS.sql / "copy_staging.sql", lines)


WAYS: dict[str, Callable[[DatabaseSettings, RawPages], None]] = {
    "ours": ours,
    "ours, every change a version": ours_tracking_all,
    "founding way": founding,
    "one statement a row": row_at_a_time,
    "bare copy into staging": bare_copy,
}


def measure(server: EmbeddedServer, raw_dir: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of each way for each measured day, and how many rows its tables then have."""
    days = [FIRST_DAY + timedelta(n) for n in range(HISTORY_DAYS + repeats + 1)]
    for day in days:
        keep_pages(save_pages(raw_dir, SHOWS, day, pages_of(day, rows)))
    raws = [open_pages(raw_dir, SHOWS, day) for day in days]
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    held: dict[str, tuple[int, int]] = {}
    databases: dict[str, DatabaseSettings] = {}
    for number, (name, load) in enumerate(WAYS.items()):
        database = databases[name] = server.ensure_database(f"way_{number}")
        with closing(connect(database, "bench")) as connection:
            apply_schema(connection, META_FILE)
            apply_schema(connection, SCHEMA_FILE)
        # history of a way that writes the same rows more slowly is written by the founding way
        write = founding if load is row_at_a_time else load
        for raw in raws[:HISTORY_DAYS] if load is not bare_copy else []:
            write(database, raw)
        with closing(connect(database, "bench")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "select setval(pg_get_serial_sequence('tmdb_data.dim_shows_history', 'id_sk'), 100000000)"
                )
                cursor.execute("vacuum analyze")
    for number, raw in enumerate(raws[HISTORY_DAYS:]):
        for name, load in WAYS.items():
            began = time.perf_counter()
            load(databases[name], raw)
            if number:  # the first day warms up
                seconds[name].append(time.perf_counter() - began)
    for name, database in databases.items():
        with closing(connect(database, "bench")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                "select (select count(*) from tmdb_data.dim_popular_shows), count(*) from tmdb_data.dim_shows_history"
            )
            held[name] = cursor.fetchone()
    current = {held[name][0] for name, load in WAYS.items() if load is not bare_copy}
    assert len(current) == 1, held
    return {"seconds": seconds, "held": held}


def extract_with(pages: int) -> None:
    """Extract a list of so many pages from a stand-in, in this process; print seconds and peak memory."""
    items = [{**item, "id": n + 1} for n, item in enumerate(sample_list("tv", FIRST_DAY, items=pages * 20))]
    with closing(StandIn()) as tmdb, tempfile.TemporaryDirectory() as folder:
        tmdb.set_lists(tv=items)
        del items
        code = (
            "import json, re, sys, time; from pathlib import Path; from datetime import date;"
            "from binge_works.binge_settings import TmdbSettings; from binge_works.popular_lists import SHOWS;"
            "from binge_works.raw_pages import save_pages; from binge_works.tmdb import Tmdb;"
            "key, url, folder = sys.argv[1:]; began = time.perf_counter();"
            "tmdb = Tmdb(TmdbSettings(tmdb_api_key=key, tmdb_base_url=url));"
            "raw = save_pages(Path(folder), SHOWS, date(2026, 1, 1), tmdb.pages(SHOWS.endpoint));"
            "peak = int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024;"
            "print(json.dumps([raw.pages, time.perf_counter() - began, peak]))"
        )
        key = tmdb.environment()["TMDB_API_KEY"]
        done = subprocess.run(
            [sys.executable, "-c", code, key, tmdb.url, folder], capture_output=True, text=True, check=True
        )
        print(done.stdout.strip())


def main() -> None:
    """Measure and print; exit with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-extract", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    flags = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="bench-binge-works-"))
    home.chmod(0o755)
    server = EmbeddedServer(home / "postgres", settings=SERVER_SETTINGS)
    try:
        server.ensure_running()
        found = measure(server, home / "raw", flags.rows, flags.repeats)
    finally:
        server.stop()
        shutil.rmtree(home)
    holds = report(found, flags.rows)
    if not flags.without_extract:
        holds &= report_extract(found)
    if flags.json:
        flags.json.write_text(json.dumps(found, indent=2))
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    sys.exit(0 if holds else 1)


def report(found: dict[str, Any], rows: int) -> bool:
    """Print the loads; return whether the bars hold."""
    medians = {name: statistics.median(seconds) for name, seconds in found["seconds"].items()}
    table = []
    for name, median in medians.items():
        bar, target = BARS.get(name, ("", ""))
        ratio = median / medians["ours"]
        mark = "" if not bar else "holds" if ratio >= bar else "MISSED"
        table.append((name, f"{median:.3f}", f"{ratio:.2f}", bar, target, mark, *found["held"][name]))
    print(
        f"one day of {rows:,} shows on {HISTORY_DAYS} days of history, median of {len(found['seconds']['ours'])} days"
    )
    print(tabulate(table, ["", "seconds", "x ours", "bar", "target", "", "shows", "versions"], tablefmt="simple"))
    return all(median / medians["ours"] >= BARS[name][0] for name, median in medians.items() if name in BARS)


def report_extract(found: dict[str, Any]) -> bool:
    """Print the extracts of 100 and 500 pages; return whether memory stays flat."""
    found["extract"] = []
    for pages in (100, 500):
        command = [sys.executable, "-c", f"from daily_lists import extract_with; extract_with({pages})"]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
        found["extract"].append(json.loads(done.stdout))
    rows = [(pages, f"{seconds:.1f}", f"{pages / seconds:.1f}", peak) for pages, seconds, peak in found["extract"]]
    print(tabulate(rows, ["pages", "seconds", "calls a second (limit 20)", "peak MB"], tablefmt="simple"))
    growth = found["extract"][1][2] / found["extract"][0][2]
    print(f"peak memory of 500 pages is {growth:.2f} times that of 100 (bar 1.25)")
    return bool(growth <= 1.25)


if __name__ == "__main__":
    main()
