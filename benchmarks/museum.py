"""make bench-museum: what the pipeline costs against psql's copy of the same rows, on the same server, in the same run.

The reference is the plain way: pandas concat, sort and to_csv, COPY to a staging table, INSERT with every constraint
checked row by row.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from contextlib import closing
from pathlib import Path

from kiosk_bench import FILES, Bench, bench, generate, median_of, password_of, run_measured

from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

ADDED_ROWS = 100_000
FIRST_LOAD = "pipeline: first load"
MEMORY_SIZES = [1_000_000, 20_000_000]


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


def measure(run: Bench, *, repeats: int, with_plain_way: bool) -> None:
    """Run every measurement of one size."""
    bucket = run.data_dir / "bucket_data"
    run.script("transform.py", None)  # warms the disk cache and the interpreter's
    run.measure_floor(repeats)

    def fresh_transform() -> tuple[float, int]:
        shutil.rmtree(run.data_dir / "combined_data", ignore_errors=True)
        return run.script("transform.py", None)

    run.note("transform", *median_of(fresh_transform, repeats), run.rows, None)
    settings = run.fresh_database()
    run.note("load", *run.script("load.py", settings), run.events(settings), None)
    run.note(FIRST_LOAD, *median_of(run.first_load, repeats), run.rows, (6, 5))

    def again() -> tuple[float, int]:
        return run.script("pipeline.py", settings, "--skip-extract", "--push")

    again()  # the files of the last first load are known to this database by their content
    run.note("pipeline: nothing new", *median_of(again, repeats), run.events(settings), (1.0, 0.5))
    generate(bucket, ADDED_ROWS, 1, seed=0.25, first=FILES)
    taken, peak = again()
    run.note(f"pipeline: one file of {ADDED_ROWS:,} more", taken, peak, run.events(settings), (2.5, 2.5))
    assert run.events(settings) == run.rows + ADDED_ROWS
    run.drop(settings)
    (bucket / f"lmnh_hist_data_{FILES}.csv").unlink()
    if with_plain_way:
        settings = run.fresh_database()
        program = [sys.executable, __file__, "--plain-way", str(bucket), settings.model_dump_json(), str(run.folder)]
        run.note("reference: pandas, row-wise checks", *run_measured(program, password_of(settings)), run.rows, None)
        assert run.events(settings) == run.rows
        run.drop(settings)


def measure_memory(run: Bench, sizes: list[int]) -> None:
    """Run first loads of other sizes and hold their peaks against that of this one."""
    peaks = {run.rows: next(result.peak_mb for result in run.results if result.name == FIRST_LOAD) or 0}
    for rows in sizes:
        other = Bench(run.folder / str(rows), rows, run.server)
        generate(other.data_dir / "bucket_data", rows, FILES)
        seconds, peaks[rows] = other.first_load()
        run.note(f"{FIRST_LOAD} of {rows:,} rows, for its memory", seconds, peaks[rows], rows, None)
        shutil.rmtree(other.folder)
    for rows in sizes:
        ratio = peaks[rows] / peaks[run.rows]
        print(f"peak at {rows:,} rows: {peaks[rows]} MB (bar 450), {ratio:.2f} times that at {run.rows:,} (bar 1.25)")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="What the pipeline costs against psql \\copy of the same rows.")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--without-plain-way", action="store_true", help="leave the slow reference out")
    parser.add_argument("--without-memory", action="store_true", help="leave 1 and 20 million rows out")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here too")
    parser.add_argument("--plain-way", nargs=3, metavar=("DATA", "SETTINGS", "WORK"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.plain_way:
        data, settings, work = flags.plain_way
        fields = {**json.loads(settings), "db_password": os.environ["DB_PASSWORD"]}
        plain_way(Path(data), Path(work), DatabaseSettings(**fields))
        return
    with bench(flags.rows, flags.json) as run:
        measure(run, repeats=flags.repeats, with_plain_way=not flags.without_plain_way)
        if not flags.without_memory:
            measure_memory(run, MEMORY_SIZES)


if __name__ == "__main__":
    main()
