"""make bench-scale SYSTEM=binge_works: a day of 100 and 500 pages on 30 to 3,650 days of history, and the extracts.

A day is loaded as the command does, from raw pages; its cost is the median of the last five before each mark. Of the
days between only every tenth is loaded: a show says something new once in thirty days, so the history has as many
versions. Commits are not waited for, which changes no table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from daily_lists import FIRST_DAY, META_FILE, SCHEMA_FILE, SERVER_SETTINGS, SHOWS, ours, pages_of
from growth import MEGABYTE, Growth, Line, growth

from binge_works.raw_pages import keep_pages, open_pages, save_pages
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect
from etlkit.settings import DatabaseSettings

PAGES, QUICK_PAGES = (100, 500), (10,)
MARKS, QUICK_MARKS = (30, 365, 1_000, 3_650), (5, 30)
ITEMS_A_PAGE = 20
MEASURED_DAYS, STRIDE = 5, 10
SIZES = """
    select pg_database_size(current_database()), (select count(*) from tmdb_data.dim_shows_history)
"""


def measure_days(lines: Growth, server: EmbeddedServer, raw_dir: Path, pages: int, marks: tuple[int, ...]) -> None:
    """Load day after day; note what a day costs at each mark."""
    database = server.ensure_database(f"pages_{pages}")
    with closing(connect(database, "bench")) as connection:
        apply_schema(connection, META_FILE)
        apply_schema(connection, SCHEMA_FILE)
    seconds: list[float] = []
    measured = {mark - back for mark in marks for back in range(1, MEASURED_DAYS + 1)}
    for number in sorted(measured | set(range(0, max(marks), STRIDE))):
        day = FIRST_DAY + timedelta(number)
        keep_pages(save_pages(raw_dir, SHOWS, day, pages_of(day, pages * ITEMS_A_PAGE)))
        raw = open_pages(raw_dir, SHOWS, day)
        started = time.perf_counter()
        ours(database, raw)
        seconds.append(time.perf_counter() - started)
        if number + 1 in marks:
            taken = statistics.median(seconds[-MEASURED_DAYS:])
            size, versions = _sizes(database)
            lines.note(Line(f"a day of {pages} pages", f"{number + 1:,} days", pages * ITEMS_A_PAGE, "show", taken))
            lines.lines[-1].disk_mb = round(size / MEGABYTE)
            print(f"  {versions:,} versions in the history", flush=True)
            _vacuum(database)
    shutil.rmtree(raw_dir, ignore_errors=True)
    server.drop_database(database.db_name)


def _sizes(database: DatabaseSettings) -> tuple[int, int]:
    """Return the database's bytes and its versions."""
    with closing(connect(database, "bench")) as connection, connection.cursor() as cursor:
        cursor.execute(SIZES)
        size, versions = cursor.fetchone() or (0, 0)
    return int(size), int(versions)


def _vacuum(database: DatabaseSettings) -> None:
    """Do what autovacuum does in a day."""
    with closing(connect(database, "bench")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("vacuum analyze")


def measure_extract(lines: Growth, pages: int) -> None:
    """Extract a list from a stand-in in a process of its own."""
    command = [sys.executable, "-c", f"from daily_lists import extract_with; extract_with({pages})"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    found, seconds, peak = json.loads(done.stdout)
    assert found == pages
    lines.note(Line("extract, 20 calls a second", f"{pages} pages", pages, "page", seconds, None, peak))


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute: 10 pages, 30 days")
    parser.add_argument("--up-to", type=int, metavar="DAYS", help="leave longer histories out")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    pages = QUICK_PAGES if flags.quick else PAGES
    marks = tuple(mark for mark in (QUICK_MARKS if flags.quick else MARKS) if mark <= (flags.up_to or mark))
    home = Path(tempfile.mkdtemp(prefix="bench-scale-binge-"))
    home.chmod(0o755)
    settings = (*SERVER_SETTINGS, "synchronous_commit = off")
    server = EmbeddedServer(home / "postgres", settings=settings)
    try:
        server.ensure_running()
        with growth("Binge Works, a day of shows", f"{marks[0]} days", flags.json) as lines:
            for count in pages:
                measure_days(lines, server, home / "raw", count, marks)
        with growth("Binge Works, extracts", f"{pages[0]} pages", None) as lines:
            for count in pages:
                measure_extract(lines, count)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
