"""make bench-warehouse: a large cp1252 file to typed, gated ZSTD Parquet: ours on DuckDB, ours on Spark, plain pandas.

Each way is a process of its own, from its start until the gates have judged the written file (our `--dry-run`), and
in turn in this call; Spark's session is part of its time. Ours are then run once more to the end: raw files kept,
everything hashed, published durably. pandas does the same work in memory: text first, dates by their form, bad ones
null, lines with a field too few left out, Parquet, and the gates on it. The tables are compared at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
from tabulate import tabulate

DATASET = "fda-ndc-unfinished"
PRODUCTS, PACKAGES = "unfinished_product.txt", "unfinished_package.txt"
COLUMNS = (
    "PRODUCTID", "PRODUCTNDC", "PRODUCTTYPENAME", "NONPROPRIETARYNAME", "DOSAGEFORMNAME", "STARTMARKETINGDATE",
    "ENDMARKETINGDATE", "MARKETINGCATEGORYNAME", "LABELERNAME", "SUBSTANCENAME", "ACTIVE_NUMERATOR_STRENGTH",
    "ACTIVE_INGRED_UNIT", "DEASCHEDULE", "LISTING_RECORD_CERTIFIED_THROUGH",
)  # fmt: skip
DATES = ("STARTMARKETINGDATE", "ENDMARKETINGDATE", "LISTING_RECORD_CERTIFIED_THROUGH")
BAD_CELL_EVERY, BAD_LINE_EVERY, FOREIGN_EVERY = 20_011, 50_021, 97
BLOCK = 50_000
WAYS = ("duckdb", "spark", "pandas")
BAR, TARGET, BAR_MB, BAR_GROWTH = 4.0, 5.0, 600, 1.25
LARGER = 4
QUARANTINED = 3


@dataclass
class Measured:
    """One run of one way."""

    way: str
    rows: int
    seconds: float
    peak_mb: int | None
    """Of the process; a JVM beside it is not in it."""
    published_seconds: float | None = None
    """Until the table is published; pandas publishes nothing."""
    found: Mapping[str, Any] | None = None
    """What the written table says, the same for every way."""


def main() -> None:
    """Measure what the flags ask for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the file that every way reads (2,000,000)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each way is run (3)")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS, help="which ways")
    parser.add_argument("--without-larger", action="store_true", help="leave out the file of four times the rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--as-pandas", type=Path, nargs=2, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.as_pandas:
        by_pandas(*flags.as_pandas)
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-warehouse-"))
    try:
        archive = folder / "unfinished.zip"
        size = write_archive(archive, flags.rows)
        print(f"{flags.rows:,} rows, {size / 1e6:,.0f} MB; median of {flags.repeats}", flush=True)
        runs = [measure(way, folder, archive, flags.rows) for _ in range(flags.repeats) for way in flags.ways]
        figures = [middle([run for run in runs if run.way == way]) for way in flags.ways]
        for one in figures:
            published = measure(one.way, folder, archive, one.rows, "--force")
            one.found = published.found
            one.published_seconds = None if one.way == "pandas" else published.seconds
        if not flags.without_larger:
            write_archive(archive, LARGER * flags.rows)
            figures.append(measure("duckdb", folder, archive, LARGER * flags.rows))
    finally:
        shutil.rmtree(folder)
    show(figures, flags.rows)
    if flags.json:
        flags.json.write_text(json.dumps([asdict(one) for one in figures], indent=1))


def lines_of(count: int, seed: int = 1815) -> Iterator[bytes]:
    """Yield blocks of lines, of which some have a bad date, some a field too few, some letters that are not ASCII."""
    chance = random.Random(seed)
    bodies = [
        "\t".join(
            (
                "DRUG FOR FURTHER PROCESSING",
                f"Solvarin {chance.choice(('Hydrochloride', 'Sodium', 'Extract'))} {number}",
                chance.choice(("POWDER", "LIQUID", "SOLUTION, CONCENTRATE")),
                f"{chance.randint(1905, 2026)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}",
                "" if number % 50 else "20541231",
                "DRUG FOR FURTHER PROCESSING",
                "Guang\u2019an Müller GmbH"
                if number % FOREIGN_EVERY == 0
                else f"Northwind Laboratories {number % 300}, Inc.",
                "; ".join(f"SUBSTANCE {number + part}" for part in range(1 + number % 3)),
                "; ".join(["1"] * (1 + number % 3)),
                "; ".join(["kg/kg"] * (1 + number % 3)),
                "" if number % 40 else "CII",
                "20261231",
            )
        )
        for number in range(5_000)
    ]
    for start in range(0, count, BLOCK):
        lines = []
        for number in range(start, min(start + BLOCK, count)):
            body = bodies[number % len(bodies)]
            if number % BAD_CELL_EVERY == 0:
                fields = body.split("\t")
                fields[3] = "20181345"
                body = "\t".join(fields)
            if number % BAD_LINE_EVERY == 1:
                body = body.rpartition("\t")[0]
            lines.append(
                f"{number:08}-{number % 977:04}_{number:012x}\t{number % 99_991:05}-{number % 977:04}\t{body}\r\n"
            )
        yield "".join(lines).encode("cp1252")


def write_archive(path: Path, rows: int) -> int:
    """Write the two files into an archive, not compressed, so that inflating counts for nobody; return the size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(
            PACKAGES, "PRODUCTID\tPRODUCTNDC\tNDCPACKAGECODE\tPACKAGEDESCRIPTION\r\na\tb\t12345-123-12\tc\r\n"
        )
        with archive.open(PRODUCTS, "w", force_zip64=True) as file:
            file.write("\t".join(COLUMNS).encode() + b"\r\n")
            for block in lines_of(rows):
                file.write(block)
    return path.stat().st_size


def measure(way: str, folder: Path, archive: Path, rows: int, manner: str = "--dry-run") -> Measured:
    """Run one way in a process of its own."""
    target = folder / "target"
    command = [sys.executable, __file__, "--as-pandas", str(archive), str(target)]
    if way != "pandas":
        command = [
            *(sys.executable, "-m", "warehouse", "run", DATASET, "--from-file", str(archive), "--engine", way, manner),
            *("--target", str(target), "--log-level", "ERROR", "--log-file", str(folder / "warehouse.log")),
        ]
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(folder)})
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, QUARANTINED):
        raise SystemExit(f"{way} failed; see {folder}")
    peak = None if way == "spark" else used.ru_maxrss // 1024
    found = Measured(way, rows, round(seconds, 2), peak)
    if manner != "--dry-run":
        found.found = summary(target)
    shutil.rmtree(target, ignore_errors=True)
    print(f"  {way} {manner}: {found.seconds} s", flush=True)
    return found


def by_pandas(archive: Path, target: Path) -> None:
    """Do it with pandas, in memory."""
    import pandas as pd

    with zipfile.ZipFile(archive) as opened, opened.open(PRODUCTS) as file:
        frame = pd.read_csv(
            file, sep="\t", encoding="cp1252", dtype=str, quoting=3, on_bad_lines="skip", keep_default_na=False
        )
    # pandas fills a short line up in silence; here every whole line says something in its last column
    frame = frame[frame[COLUMNS[-1]] != ""]
    for name in COLUMNS:
        frame[name] = frame[name].str.strip().replace("", None)
    for name in DATES:
        frame[name] = pd.to_datetime(frame[name], format="%Y%m%d", errors="coerce").astype("datetime64[s]").dt.date
    frame.columns = [name.lower() for name in COLUMNS]
    (target / "bronze" / DATASET / "products").mkdir(parents=True)
    written = target / "bronze" / DATASET / "products" / "part.parquet"
    frame.to_parquet(written, compression="zstd", index=False)
    del frame
    read = pd.read_parquet(written, columns=["productid", "productndc"])
    if read.isna().any().any() or read["productid"].duplicated().any():
        raise SystemExit("a gate failed")


def summary(target: Path) -> dict[str, Any]:
    """Return what the product table holds: rows, nulls, sums of days and a hash of all texts."""
    (path,) = {file.parent for file in (target / "bronze" / DATASET / "products").rglob("*.parquet")}
    files = str(path / "*.parquet")
    with duckdb.connect() as connection:
        names = [
            row[0] for row in connection.execute("select * from (describe from read_parquet(?))", [files]).fetchall()
        ]
        days = [name for name in names if "date" in name or "certified" in name]
        texts = [name for name in names if name not in days and not name.startswith(("meta_", "run_id"))]
        read = connection.read_parquet(files)
        told = ", ".join(
            [
                "count(*)",
                *(f"sum(({name}::date - date '1900-01-01'))::bigint, count({name})" for name in days),
                *(f"sum(hash({name})::hugeint)::varchar, count({name})" for name in texts),
            ]
        )
        figures = read.aggregate(told).fetchone()
    assert figures
    return {"rows": figures[0], "figures": list(figures[1:])}


def middle(runs: list[Measured]) -> Measured:
    """Return the median of a way's runs, with their highest peak."""
    first = runs[0]
    peaks = [run.peak_mb for run in runs if run.peak_mb]
    seconds = statistics.median(run.seconds for run in runs)
    return Measured(first.way, first.rows, round(seconds, 2), max(peaks, default=None))


def show(figures: list[Measured], rows: int) -> None:
    """Print the figures beside their bars."""
    same = [one for one in figures if one.rows == rows]
    ours = next((one for one in same if one.way == "duckdb"), None)
    table = []
    for one in figures:
        ratio = round(one.seconds / ours.seconds, 1) if ours and one.rows == rows else None
        of_spark = one.way == "spark"
        table.append(
            (one.way, f"{one.rows:,}", one.seconds, ratio, BAR if of_spark else None, TARGET if of_spark else None,
             one.peak_mb, BAR_MB if one is ours else None, one.published_seconds,
             f"{one.found['rows']:,}" if one.found else None)
        )  # fmt: skip
    heads = ["way", "rows", "seconds", "x ours", "bar", "target", "peak MB", "bar", "published", "stored"]
    print(tabulate(table, heads, tablefmt="simple", missingval="", disable_numparse=[1, 9]))
    larger = next((one for one in figures if one.rows != rows), None)
    if ours and larger and ours.peak_mb and larger.peak_mb:
        print(f"peak of {LARGER} times the rows: {larger.peak_mb / ours.peak_mb:.2f} times (bar {BAR_GROWTH})")
    differ = [one.way for one in same if one.found != same[0].found]
    print(f"tables differ: {', '.join(differ)}" if differ else "every way's table holds the same")
    print(f"Python {sys.version.split()[0]}, DuckDB {version('duckdb')}, PySpark {version('pyspark')}, "
          f"pandas {version('pandas')}, {os.cpu_count()} cores; highest peak of a child "
          f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024:,} MB")  # fmt: skip


if __name__ == "__main__":
    main()
