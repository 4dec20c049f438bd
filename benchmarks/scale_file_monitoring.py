"""make bench-scale SYSTEM=file_monitoring: objects of 0.1, 1 and 5 GB, and small files by 1, 2 and 4 workers.

The bucket and the queue are a stand-in on the same machine, one process that serves all workers; each small file has
its own message. Of the large objects the whole worker is timed, its start included.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

from file_quality import WorkerPlace, worker_place, write_rows
from growth import MEGABYTE, Growth, Line, growth

from etlkit.postgres import connect, only_value

SIZES, QUICK_SIZES = (0.1, 1.0, 5.0), (0.01, 0.05)
WORKERS, QUICK_WORKERS = (1, 2, 4), (1, 2)
SMALL_FILES, QUICK_SMALL_FILES = 1_000, 60
SMALL_ROWS = 200
WANTED_AN_HOUR = 10_000


def measure_large(lines: Growth, place: WorkerPlace, sizes: tuple[float, ...]) -> None:
    """Score one object of each size by a worker of its own."""
    for number, size in enumerate(sizes):
        path = place.folder / "people.csv"
        written = write_rows(path, size=int(size * 1e9))
        key = place.send(path, number)
        started = time.perf_counter()
        status, peak = place.ended(place.start())
        seconds = time.perf_counter() - started
        assert status in (0, 3), status
        place.delete(key)
        lines.note(Line("one object", f"{size:g} GB", round(written / MEGABYTE), "MB", seconds, None, peak))


def measure_small(lines: Growth, place: WorkerPlace, workers: int, files: int, first: int) -> None:
    """Score many small objects by some workers at once."""
    path = place.folder / "people.csv"
    keys = []
    for number in range(first, first + files):
        write_rows(path, rows=SMALL_ROWS)
        keys.append(place.send(path, number))
    before = _scored(place)
    started = time.perf_counter()
    ends = [place.ended(worker) for worker in [place.start() for _worker in range(workers)]]
    seconds = time.perf_counter() - started
    assert all(status in (0, 3) for status, _peak in ends), ends
    assert _scored(place) - before == files, (_scored(place), before, files)
    for key in keys:
        place.delete(key)
    peak = max(peak for _status, peak in ends)
    lines.note(Line(f"files of {SMALL_ROWS} rows", f"{workers} workers", files, "file", seconds, None, peak))
    print(f"  {files / seconds * 3600:,.0f} files an hour (wanted {WANTED_AN_HOUR:,})", flush=True)


def _scored(place: WorkerPlace) -> int:
    """Return how many scores there are."""
    with closing(connect(place.database, "bench")) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from reporting.monitoring_file_data_quality")
        return int(only_value(cursor))


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute: small objects, few files")
    parser.add_argument("--only", choices=("large", "small"), help="leave the other half out")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-scale-files-"))
    try:
        with worker_place(folder) as place:
            sizes = QUICK_SIZES if flags.quick else SIZES
            if flags.only != "small":
                with growth("File monitor, large objects", f"{sizes[0]:g} GB", flags.json) as lines:
                    measure_large(lines, place, sizes)
            files = QUICK_SMALL_FILES if flags.quick else SMALL_FILES
            if flags.only != "large":
                with growth("File monitor, small files", "1 workers", None) as lines:
                    for turn, workers in enumerate(QUICK_WORKERS if flags.quick else WORKERS):
                        measure_small(lines, place, workers, files, 100 + turn * files)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
