"""make bench-dashboard: the dashboard's figures at 20 million presses, and the same statements over every row.

The reference is a schema whose `review_tally` and `incident_tally` are views of all the rows, searched before the real
one, so that the very same statements run on both. Pages are also opened in Chromium, where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kiosk_bench import Bench, bench, password_of
from tabulate import tabulate

from dashboard.figures import (
    EMERGENCY,
    Catalogue,
    read_catalogue,
    read_data_figures,
    read_exhibition_figures,
    read_latest_incidents,
    read_safety_figures,
)
from dashboard.selection import Selection
from etlkit.postgres import Connection, Cursor, connect
from etlkit.settings import DatabaseSettings

TIMEZONE = "Europe/London"
CHROMIUM = "chromium"
COLUMNS = ("figures of", "seconds", "over every row", "times", "bar")
BAR_SECONDS = 2.0
PAGES = {"exhibitions": "", "safety": "safety", "data": "data"}
LAST_PICTURE = {"exhibitions": 6, "safety": 6, "data": 1}
EVERY_ROW = """
    create schema every_row;
    create view every_row.review_tally as
        select exhibition_id, utc_hour(at) as hour, rating_id, 1::bigint as reviews from review;
    create view every_row.incident_tally as
        select exhibition_id, utc_hour(at) as hour, incident_type_id, 1::bigint as incidents from incident;
"""
LATE_AND_REJECTED = """
    insert into review (exhibition_id, at, rating_id, source_id, position)
    select 1 + n %% 6, timestamptz '2023-06-01 09:00+00' + n * interval '1 hour', n %% 5, 1, 1000000000 + n
    from generate_series(1, 10000) n;
    insert into meta.rejected_records (source, position, raw, reasons, run_id)
    select 'kafka://c/lmnh/' || n %% 3, n::text, convert_to('{"at": "2026-01-05T15:23:12+00:00"}', 'UTF8'),
           array[(array['bad_val', 'unknown_site', 'missing_at', 'not_json'])[1 + n %% 4]], gen_random_uuid()
    from generate_series(1, %(rejects)s) n;
    analyze
"""


EMERGENCIES = 6
EMERGENCY_NOW = """
    insert into incident (exhibition_id, at, incident_type_id, source_id, position)
    values (1, now(), 1, (select min(source_id) from event_source), 2000000000 + %(number)s)
    returning to_char(at at time zone 'Europe/London', 'HH24:MI:SS')
"""


def measure_figures(settings: DatabaseSettings, repeats: int) -> list[list[Any]]:
    """Time the figures of each page over the hourly counts and over every row; both must be equal."""
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        catalogue = read_catalogue(cursor, TIMEZONE)
        assert catalogue.span is not None
        everything = Selection(catalogue.span, catalogue.chosen_ids(), TIMEZONE)
        month = Selection(catalogue.span.last(30), catalogue.chosen_ids(), TIMEZONE)
        looks: dict[str, Callable[[Cursor], Any]] = {
            "catalogue": lambda cursor: read_catalogue(cursor, TIMEZONE),
            "exhibitions, all days": lambda cursor: read_exhibition_figures(cursor, catalogue, everything),
            "exhibitions, 30 days": lambda cursor: read_exhibition_figures(cursor, catalogue, month),
            "safety, all days": lambda cursor: read_safety_figures(cursor, catalogue, everything),
            "live feed": lambda cursor: read_latest_incidents(cursor, TIMEZONE, 10, incident_type_id=EMERGENCY),
            "data": read_data_figures,
        }
        return [[name, *compare(connection, look, repeats)] for name, look in looks.items()]


def compare(connection: Connection, look: Callable[[Cursor], Any], repeats: int) -> tuple[Any, ...]:
    """Return the seconds over the hourly counts, over every row, and their ratio."""
    ours, figures = timed(connection, look, "public", repeats)
    plain, same = timed(connection, look, "every_row, public", 1)
    assert shown(figures) == shown(same), (shown(figures), shown(same))
    return f"{ours:.3f}", f"{plain:.2f}", f"{plain / ours:.0f}", BAR_SECONDS


def timed(connection: Connection, look: Callable[[Cursor], Any], path: str, repeats: int) -> tuple[float, Any]:
    """Return the median seconds of a look with a search path, and what it saw."""
    seconds = []
    with connection, connection.cursor() as cursor:
        cursor.execute("select set_config('search_path', %s, true)", (path,))
        for _number in range(repeats):
            started = time.perf_counter()
            figures = look(cursor)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), figures


def shown(figures: Any) -> str:
    """Return figures as text without what sums in another order may change."""
    if isinstance(figures, list | Catalogue):
        return str(figures)
    return "\n".join(
        f"{name}: {value.to_csv(float_format='%.6f') if hasattr(value, 'to_csv') else value}"
        for name, value in vars(figures).items()
    )


def measure_pages(run: Bench, settings: DatabaseSettings, port: int) -> list[list[Any]]:
    """Time each page in Chromium, from the address to its last picture."""
    from playwright.sync_api import sync_playwright

    program = [sys.executable, "-m", "dashboard", "--port", str(port), "--log-file", str(run.folder / "page.log")]
    program += ["--db-host", settings.db_host, "--db-port", str(settings.db_port)]
    program += ["--db-name", settings.db_name, "--db-user", settings.db_user]
    server = subprocess.Popen(program, env={**os.environ, **password_of(settings)}, stdout=subprocess.DEVNULL)
    rows = []
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
            )
            for name, path in PAGES.items():
                context = browser.new_context(viewport={"width": 1280, "height": 3000})
                seconds = [visit(context, f"http://127.0.0.1:{port}/{path}", LAST_PICTURE[name]) for _visit in range(4)]
                rows.append([f"{name} in Chromium, first visit", f"{seconds[0]:.2f}", "", "", ""])
                rows.append(
                    [f"{name} in Chromium, again", f"{statistics.median(seconds[1:]):.2f}", "", "", BAR_SECONDS]
                )
                context.close()
            rows.append(["an emergency, from commit to seen", *emergency_seconds(browser, settings, port)])
    finally:
        server.terminate()
        server.wait(timeout=20)
    return rows


def emergency_seconds(browser: Any, settings: DatabaseSettings, port: int) -> tuple[Any, ...]:
    """Return the slowest of some emergencies, from the commit of the press until it stands on the open page."""
    page = browser.new_page()
    open_page(page, f"http://127.0.0.1:{port}/safety")
    shown = page.locator(".feed .emergency")
    shown.first.wait_for(timeout=60_000)
    seconds = []
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for number in range(EMERGENCIES):
            time.sleep(0.37 * number)
            cursor.execute(EMERGENCY_NOW, {"number": number})
            (local_at,) = cursor.fetchone() or ("",)
            started = time.perf_counter()
            shown.get_by_text(local_at).first.wait_for(timeout=60_000)
            seconds.append(time.perf_counter() - started)
    page.close()
    return f"{max(seconds):.2f}", "", "", BAR_SECONDS


def visit(context: Any, address: str, pictures: int) -> float:
    """Return the seconds from the address to the page's last picture."""
    page = context.new_page()
    started = time.perf_counter()
    open_page(page, address)
    drawn = page.locator(".stVegaLiteChart svg.marks")
    drawn.nth(pictures - 1).wait_for(state="attached", timeout=60_000)  # the page's policy allows no script of ours
    seconds = time.perf_counter() - started
    page.close()
    return seconds


def open_page(page: Any, address: str) -> None:
    """Open an address as soon as somebody answers there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(Exception):
            page.goto(address)
            return
        time.sleep(0.2)
    raise SystemExit(f"nobody answers at {address}")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rejects", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    with bench(flags.rows, None) as run:
        settings = run.fresh_database()
        run.note(
            "loading them by the pipeline",
            *run.script("pipeline.py", settings, "--skip-extract", "--push"),
            flags.rows,
            None,
        )
        with closing(connect(settings, "bench")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(EVERY_ROW)
            cursor.execute(LATE_AND_REJECTED, {"rejects": flags.rejects})
        counted = [run.count(settings, name) for name in ("review_hour", "review_hour_change", "incident_hour")]
        print("  {:,} hourly counts of reviews and {:,} not yet folded, {:,} of incidents".format(*counted))
        table = measure_figures(settings, flags.repeats)
        if shutil.which(CHROMIUM):
            table += measure_pages(run, settings, flags.port)
        else:
            print("  no Chromium here, so the pages were not opened")
    print(tabulate(table, COLUMNS, tablefmt="simple"))
    if flags.json:
        load = [asdict(result) for result in run.results]
        figures = [dict(zip(COLUMNS, row, strict=True)) for row in table]
        flags.json.write_text(json.dumps({"load": load, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
