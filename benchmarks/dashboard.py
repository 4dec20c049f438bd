"""make bench-dashboard: the dashboard's figures at 20 million presses, and the same statements over every row.

The reference is a schema whose `review_tally` and `incident_tally` are views of all the rows, searched before the real
one, so that the very same statements run on both. Pages are also opened in Chromium, where there is one. All of it once
more for a museum of 300 exhibitions with 1.8 million hourly counts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chromium_pages import CHROMIUM, emergency_seconds, measure_pages, measure_viewers
from kiosk_bench import Bench, bench
from tabulate import tabulate

from dashboard.catalogue import Catalogue, read_catalogue
from dashboard.figures import read_exhibition_figures, read_single_figures
from dashboard.safety_figures import read_safety_figures
from dashboard.selection import Selection
from dashboard.state import read_data_figures, read_older_emergencies, read_pulse
from etlkit.postgres import Connection, Cursor, connect
from etlkit.settings import DatabaseSettings
from museum.hourly import fold_hours

TIMEZONE = "Europe/London"
COLUMNS = ("figures of", "seconds", "over every row", "times", "bar")
BAR_SECONDS, WIDE_BAR_SECONDS = 2.0, 3.0
EXHIBITIONS, DAYS, HOURS, RATINGS = 300, 110, 11, 5
"""Of the wide museum: 300 exhibitions that are rated with each button in each of 11 hours of 110 days."""

WIDE_MUSEUM = """
    insert into department (department_name) select 'Department ' || n from generate_series(1, 12) n;
    insert into floor (floor_name) select 'Floor ' || n from generate_series(0, 7) n;
    insert into exhibition (exhibition_id, exhibition_code, exhibition_name, department_id)
    select n, 'EXH_' || n - 1, 'An exhibition with a name, number ' || n, 1 + n %% 12
    from generate_series(1, %(exhibitions)s) n;
    insert into floor_assignment select n, 1 + n %% 8 from generate_series(1, %(exhibitions)s) n;
    insert into event_source (kind, bucket, key, content_hash, run_id)
    values ('file', 'bench', 'bench', 'bench', gen_random_uuid());
    insert into review (exhibition_id, at, rating_id, source_id, position)
    select e, timestamptz '2026-06-01 08:10+00' + d * interval '1 day' + h * interval '1 hour', r, 1,
           ((e * 1000 + d) * 100 + h) * 10 + r
    from generate_series(1, %(exhibitions)s) e, generate_series(1, %(days)s) d, generate_series(1, %(hours)s) h,
         generate_series(0, %(ratings)s - 1) r;
    insert into incident (exhibition_id, at, incident_type_id, source_id, position)
    select exhibition_id, at, rating_id %% 2, 1, position
    from review
    where position %% 29 = 0;
    insert into meta.rejected_records (source, position, raw, reasons, run_id)
    values ('file:bench', '1', '', array['bad_val'], gen_random_uuid());
"""
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


def measure_figures(settings: DatabaseSettings, repeats: int, bar: float) -> list[list[Any]]:
    """Time the figures of each page over the hourly counts and over every row; both must be equal."""
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        catalogue = read_catalogue(cursor, TIMEZONE)
        assert catalogue.span is not None
        everything = Selection(catalogue.span, catalogue.chosen_ids(), TIMEZONE)
        month = Selection(catalogue.span.last(30), catalogue.chosen_ids(), TIMEZONE)
        one = Selection(catalogue.span, catalogue.chosen_ids()[:1], TIMEZONE)
        now = datetime.now(UTC)
        looks: dict[str, Callable[[Cursor], Any]] = {
            "catalogue": lambda cursor: read_catalogue(cursor, TIMEZONE),
            "exhibitions, all days": lambda cursor: read_exhibition_figures(cursor, catalogue, everything),
            "exhibitions, 30 days": lambda cursor: read_exhibition_figures(cursor, catalogue, month),
            "one exhibition, all days": lambda cursor: read_single_figures(cursor, catalogue, one),
            "safety, all days": lambda cursor: read_safety_figures(cursor, catalogue, everything),
            "strip": lambda cursor: read_pulse(cursor, now),
            "older emergencies": lambda cursor: read_older_emergencies(cursor, TIMEZONE, now),
            "data": lambda cursor: read_data_figures(cursor, now),
        }
        return [[name, *compare(connection, look, repeats), bar] for name, look in looks.items()]


def compare(connection: Connection, look: Callable[[Cursor], Any], repeats: int) -> tuple[Any, ...]:
    """Return the seconds over the hourly counts, over every row, and their ratio."""
    ours, figures = timed(connection, look, "public", repeats)
    plain, same = timed(connection, look, "every_row, public", 1)
    assert shown(figures) == shown(same), (shown(figures), shown(same))
    return f"{ours:.3f}", f"{plain:.2f}", f"{plain / ours:.0f}"


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
    return "\n".join(f"{name}: {shown_value(value)}" for name, value in vars(figures).items())


def shown_value(value: Any) -> str:
    """Return a value, a frame or other figures as text."""
    if hasattr(value, "to_csv"):
        return str(value.to_csv(float_format="%.6f"))
    if isinstance(value, dict):
        return str({name: f"{one:.6f}" if isinstance(one, float) else one for name, one in value.items()})
    return shown(value) if hasattr(value, "__dict__") else str(value)


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
        tables = {"deep": measure(run, settings, flags, BAR_SECONDS)}
        run.drop(settings)
        tables["wide"] = measure(run, wide_museum(run), flags, WIDE_BAR_SECONDS)
    if flags.json:
        load = [asdict(result) for result in run.results]
        figures = {name: [dict(zip(COLUMNS, row, strict=True)) for row in table] for name, table in tables.items()}
        flags.json.write_text(json.dumps({"load": load, "figures": figures}, indent=1))


def measure(run: Bench, settings: DatabaseSettings, flags: argparse.Namespace, bar: float) -> list[list[Any]]:
    """Measure a museum's figures and pages, and print them."""
    counted = [run.count(settings, name) for name in ("review_hour", "review_hour_change", "incident_hour")]
    print("  {:,} hourly counts of reviews and {:,} not yet folded, {:,} of incidents".format(*counted))
    table = measure_figures(settings, flags.repeats, bar)
    if shutil.which(CHROMIUM):
        for name, first, again in measure_pages(run.folder, settings, flags.port):
            table.append([f"{name} in Chromium, first visit", f"{first:.2f}", "", "", ""])
            table.append([f"{name} in Chromium, again", f"{again:.2f}", "", "", bar])
        seconds = emergency_seconds(run.folder, settings, flags.port)
        table.append(["an emergency, from commit to seen", f"{seconds:.2f}", "", "", BAR_SECONDS])
        for viewers, cost in measure_viewers(run.folder, settings, flags.port):
            table.append([f"a viewer of Safety, one of {viewers}, of a processor", f"{cost:.3f}", "", "", ""])
    else:
        print("  no Chromium here, so the pages were not opened")
    print(tabulate(table, COLUMNS, tablefmt="simple"), flush=True)
    return table


def wide_museum(run: Bench) -> DatabaseSettings:
    """Return a museum of many exhibitions, whose presses were stored by hand and are counted."""
    settings = run.fresh_database()
    sizes = {"exhibitions": EXHIBITIONS, "days": DAYS, "hours": HOURS, "ratings": RATINGS}
    with closing(connect(settings, "bench")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(WIDE_MUSEUM, sizes)
        fold_hours(cursor)
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("vacuum analyze")
    return settings


if __name__ == "__main__":
    main()
