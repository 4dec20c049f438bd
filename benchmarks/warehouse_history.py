"""Part of make bench-warehouse: a history of a million keys over twelve releases, on DuckDB, on Spark and by pandas.

Each way is a process of its own. A release is what a gold run does once its snapshot is made: what the day does is
counted, the whole history is written anew as ZSTD Parquet, and what was written is checked; Spark's session is part of
its first release. Of each release one key in a hundred changes, one in four hundred is new and as many are gone; the
label of every key is another one, which opens nothing. pandas merges history and snapshot in memory and compares the
columns. The histories are compared at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from tabulate import tabulate

WAYS = ("duckdb", "spark", "pandas")
FIRST = date(2026, 1, 1)
BAR_MB, TARGET = 1000, 5.0
TRACKED = (
    "marketing_category", "product_type", "proprietary_name", "dosage_form", "application_number", "dea_schedule",
    "package_description", "active_numerator_strength", "active_ingredient_unit", "marketing_start_date",
    "marketing_end_date", "billing_unit", "nsde_flag", "source",
)  # fmt: skip
SNAPSHOT = """
    copy (
        select lpad(i::varchar, 11, '0') as ndc_11, 'NDA' as marketing_category,
               'HUMAN PRESCRIPTION DRUG' as product_type,
               'Solvarin ' || (i % 7001) || case when i % 100 between 1 and {release} then ' New' else '' end
                   as proprietary_name,
               'TABLET, FILM COATED' as dosage_form, 'NDA' || lpad((i % 30011)::varchar, 6, '0') as application_number,
               case when i % 40 = 0 then 'CII' end as dea_schedule,
               (i % 90 + 10) || ' TABLET in 1 BOTTLE (' || i || ')' as package_description,
               (i % 500)::varchar as active_numerator_strength, 'mg/1' as active_ingredient_unit,
               md5(i || '-' || {release}) as spl_id, date '1960-01-01' + (i % 20000)::integer as marketing_start_date,
               case when i % 50 = 0 then date '2054-12-31' end as marketing_end_date, 'EA' as billing_unit,
               i % 3 > 0 as nsde_flag,
               case when i % 3 = 0 then 'cder' when i % 3 = 1 then 'nsde' else 'both' end as source,
               'run {release}' as nsde_run_id, 'run {release}' as cder_run_id
        from range({first}, {first} + {keys}) t(i)
    ) to '{file}' (format parquet, compression zstd)
"""
SUMMARY = """
    select count(*)::bigint, count(distinct ndc_11)::bigint, sum((active_to = date '9999-12-31')::integer)::bigint,
           sum(hash(ndc_11 || proprietary_name || spl_id || active_from::date || active_to::date)::hugeint)::varchar
    from read_parquet(?)
"""


def main() -> None:
    """Measure what the flags ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of every snapshot (1,000,000)")
    parser.add_argument("--releases", type=int, default=12, help="how many snapshots (12)")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS, help="which ways")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.way:
        print(json.dumps(carry(flags.way, flags.folder, flags.releases)))
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-history-"))
    try:
        with duckdb.connect() as connection:
            for release in range(flags.releases):
                file = folder / f"snapshot-{release}.parquet"
                first = release * flags.keys // 400
                connection.execute(SNAPSHOT.format(release=release, first=first, keys=flags.keys, file=file))
        print(f"{flags.keys:,} keys, {flags.releases} releases", flush=True)
        figures = [measure(way, folder, flags.releases) for way in flags.ways]
    finally:
        shutil.rmtree(folder)
    show(figures)
    if flags.json:
        flags.json.write_text(json.dumps(figures, indent=1))


def measure(way: str, folder: Path, releases: int) -> dict[str, Any]:
    """Run one way in a process of its own; return its figures and what its last history holds."""
    # -P, since the file beside this one has the package's name
    command = [sys.executable, "-P", __file__, "--way", way, "--folder", str(folder), "--releases", str(releases)]
    said = folder / f"{way}.log"
    with said.open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "TMPDIR": str(folder)}
        )
        assert process.stdout
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{way} failed: {said.read_text()[-2000:]}")
    seconds = json.loads(output)
    with duckdb.connect() as connection:
        found = connection.execute(SUMMARY, [str(folder / way / f"history-{releases - 1}" / "*.parquet")]).fetchone()
    print(f"  {way}: " + ", ".join(f"{one:.1f}" for one in seconds) + " s", flush=True)
    peak = None if way == "spark" else used.ru_maxrss // 1024
    return {"way": way, "seconds": seconds, "peak_mb": peak, "found": found}


def carry(way: str, folder: Path, releases: int) -> list[float]:
    """Carry the history on release by release; return the seconds of each."""
    (folder / way).mkdir()
    return by_pandas(folder, releases) if way == "pandas" else by_ours(way, folder, releases)


def by_ours(way: str, folder: Path, releases: int) -> list[float]:
    """Do what a gold run does, on one of our engines."""
    started = time.perf_counter()
    from warehouse.engines.duckdb_engine import HISTORY_MEMORY_LIMIT, DuckDbEngine
    from warehouse.history import Tracking, aligned, changes, changes_by_column, versions

    session = None
    if way == "spark":
        from warehouse.engines import spark_engine

        session = spark_engine.local_session(folder / "no-jars")
    tracking = Tracking(("ndc_11",), TRACKED, ("spl_id", "nsde_run_id", "cder_run_id"))
    seconds = []
    for release in range(releases):
        engine = spark_engine.SparkEngine(session) if session else DuckDbEngine(HISTORY_MEMORY_LIMIT)
        seen = engine.read_files([str(folder / f"snapshot-{release}.parquet")])
        before = sorted(str(path) for path in (folder / way / f"history-{release - 1}").glob("*.parquet"))
        earlier = aligned(engine.read_files(before), seen, tracking, is_hashed_alike=True) if before else None
        day = FIRST + timedelta(days=30 * release)
        engine.fetch_one(changes(earlier, seen, tracking, day))
        if earlier is not None:
            engine.fetch_one(changes_by_column(earlier, seen, tracking, day))
        place = str(folder / way / f"history-{release}")
        engine.write_parquet(versions(earlier, seen, tracking, day), place)
        written = engine.read_parquet(place)
        current = written.filter(written["status"] == "current")
        keys = current.select("ndc_11").distinct()
        if engine.fetch_one(current.aggregate(n=current.count())) != engine.fetch_one(keys.aggregate(n=keys.count())):
            raise SystemExit("a key has two current versions")
        engine.close()
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    return seconds


def by_pandas(folder: Path, releases: int) -> list[float]:
    """Merge history and snapshot in memory."""
    started = time.perf_counter()
    import pandas as pd

    forever = date(9999, 12, 31)
    history = None
    seconds = []
    for release in range(releases):
        seen = pd.read_parquet(folder / f"snapshot-{release}.parquet")
        day = FIRST + timedelta(days=30 * release)
        fresh = seen.assign(active_from=day, active_to=forever)
        if history is None:
            history = fresh
        else:
            history = pd.read_parquet(folder / "pandas" / f"history-{release - 1}")
            is_open = history["active_to"] == forever
            closed, current = history[~is_open], history[is_open]
            pairs = current.merge(seen, on="ndc_11", how="left", suffixes=("", "_seen"), indicator=True)
            is_same = pairs["_merge"] == "both"
            for name in TRACKED:
                mine, theirs = pairs[name], pairs[f"{name}_seen"]
                is_same &= (mine == theirs).fillna(False) | (mine.isna() & theirs.isna())
            kept = pairs[seen.columns.tolist()].copy()
            for name in ("spl_id", "nsde_run_id", "cder_run_id"):
                kept[name] = pairs[f"{name}_seen"].where(is_same, pairs[name])
            kept["active_from"] = pairs["active_from"]
            kept["active_to"] = [forever if same else day for same in is_same]
            opened = fresh[~fresh["ndc_11"].isin(pairs.loc[is_same, "ndc_11"])]
            history = pd.concat([closed, kept, opened])
        place = folder / "pandas" / f"history-{release}"
        place.mkdir()
        history.to_parquet(place / "part.parquet", compression="zstd", index=False)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    return seconds


def show(figures: list[dict[str, Any]]) -> None:
    """Print the figures beside their bars."""
    ours = next((statistics.median(one["seconds"][1:]) for one in figures if one["way"] == "duckdb"), None)
    rows = []
    for one in figures:
        usual = statistics.median(one["seconds"][1:])
        rows.append(
            (one["way"], sum(one["seconds"]), one["seconds"][0], usual, usual / ours if ours else None,
             TARGET if one["way"] == "spark" else None, one["peak_mb"], BAR_MB if one["way"] == "duckdb" else None)
        )  # fmt: skip
    heads = ["way", "all, s", "first, s", "a release, s (median)", "x ours", "target", "peak MB", "bar"]
    print(tabulate(rows, heads, tablefmt="simple", floatfmt=".1f", missingval=""))
    found = figures[0]["found"]
    differ = [one["way"] for one in figures if one["found"] != found]
    versions, keys, still_open, _ = found
    same = f"every way's history holds the same: {versions:,} versions of {keys:,} keys, {still_open:,} of them open"
    print(f"histories differ: {', '.join(differ)}" if differ else same)
    print(f"{os.cpu_count()} cores; highest peak of a child "
          f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024:,} MB")  # fmt: skip


if __name__ == "__main__":
    main()
