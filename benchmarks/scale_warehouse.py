"""make bench-scale SYSTEM=warehouse: files of 2, 8 and 32 million rows to published Parquet, on DuckDB and on Spark.

The file, the ways and the commands are bench-warehouse's: the whole command with `--dry-run`, from its start until the
gates have judged what was written. Spark's session is in its time, its JVM not in its memory.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from drug_files import measure, write_archive
from growth import MEGABYTE, Line, growth

SIZES = (2_000_000, 8_000_000, 32_000_000)
QUICK_SIZES = (100_000, 400_000)
ENGINES = ("duckdb", "spark")


def main() -> None:
    """Measure every size on both engines and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="minutes: 0.1 and 0.4 million rows")
    parser.add_argument("--up-to", type=int, metavar="ROWS", help="leave larger sizes out")
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=ENGINES)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    sizes = [size for size in (QUICK_SIZES if flags.quick else SIZES) if size <= (flags.up_to or size)]
    folder = Path(tempfile.mkdtemp(prefix="bench-scale-warehouse-"))
    try:
        with growth("Warehouse", f"{sizes[0] / 1e6:g} M", flags.json) as lines:
            for rows in sizes:
                archive = folder / "unfinished.zip"
                size = write_archive(archive, rows)
                for engine in flags.engines:
                    found = measure(engine, folder, archive, rows)
                    name = f"{rows / 1e6:g} M"
                    lines.note(Line(engine, name, rows, "row", found.seconds, None, found.peak_mb))
                    lines.lines[-1].disk_mb = round(size / MEGABYTE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
