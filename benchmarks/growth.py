"""What make bench-scale prints: steps at growing sizes, what a unit costs, how that grew, and what the database did.

A unit's cost is held against that of the base size. WAL is the whole server's; temporary files and blocks that were
read from outside the server's buffers are the database's.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

WORK = """
    select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), temp_bytes, blks_read * 8192
    from pg_stat_database
    where datname = current_database()
"""
MEGABYTE = 1_000_000
STATISTICS_SECONDS = 1.2
"""Within how long a server's processes tell what they did."""


@dataclass
class Line:
    """One step at one size; megabytes are millions of bytes."""

    step: str
    size: str
    units: int
    unit: str
    seconds: float
    growth: float | None = None
    peak_mb: int | None = None
    disk_mb: int | None = None
    wal_mb: int | None = None
    temp_mb: int | None = None
    read_mb: int | None = None

    @property
    def microseconds(self) -> float:
        """Return what a unit costs."""
        return self.seconds / self.units * 1e6


class Growth:
    """The lines of one system."""

    def __init__(self, title: str, base: str) -> None:
        """Hold every unit's cost against that at the size `base`."""
        self.title = title
        self.base = base
        self.lines: list[Line] = []

    def note(self, line: Line) -> None:
        """Keep a line and print it."""
        base = next((one for one in self.lines if one.step == line.step and one.size == self.base), None)
        line.growth = line.microseconds / base.microseconds if base else 1.0 if line.size == self.base else None
        self.lines.append(line)
        print(f"  {line.size} {line.step}: {line.seconds:.2f} s", flush=True)

    def measure(
        self, step: str, size: str, units: tuple[int, str], settings: DatabaseSettings, run: Callable[[], int | None]
    ) -> None:
        """Run a step, which returns its peak of memory in MB, and note what the database did meanwhile.

        A process begins with the memory of the one that starts it, so a peak below ours says nothing.
        """
        before = _work(settings)
        started = time.perf_counter()
        peak = run()
        seconds = time.perf_counter() - started
        if peak and peak * 1024 <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.02:
            peak = None
        wal, temp, read = (round((now - then) / MEGABYTE) for now, then in zip(_work(settings), before, strict=True))
        self.note(Line(step, size, *units, seconds, None, peak, None, wal, temp, read))

    def print_table(self) -> None:
        """Print all lines as Markdown, by step."""
        steps = list(dict.fromkeys(line.step for line in self.lines))
        table = []
        for step in steps:
            first, *others = [_cells(line) for line in self.lines if line.step == step]
            table += [[step, *first], *(["", *cells] for cells in others)]
        header = [
            "",
            "size",
            "seconds",
            "a unit",
            f"x {self.base}",
            "peak MB",
            "disk MB",
            "WAL MB",
            "temp MB",
            "read MB",
        ]
        print(f"\n{self.title}\n")
        text = tabulate(table, header, tablefmt="github", disable_numparse=True)
        print(re.sub("-{4,}", "---", re.sub(" +[|]", " |", text)))

    def write(self, path: Path | None) -> None:
        """Write the lines as JSON, where a file was asked for."""
        if path:
            path.write_text(json.dumps({"title": self.title, "lines": [asdict(line) for line in self.lines]}, indent=1))


def machine() -> str:
    """Return what the figures were made on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}"


@contextmanager
def growth(title: str, base: str, json_path: Path | None) -> Iterator[Growth]:
    """Yield the lines of a system; print them at the end, whatever ended it."""
    lines = Growth(title, base)
    print(f"{title}: {machine()}", flush=True)
    try:
        yield lines
    finally:
        lines.print_table()
        lines.write(json_path)


def _work(settings: DatabaseSettings) -> tuple[int, int, int]:
    """Return WAL, temporary files and blocks read so far, in bytes."""
    time.sleep(STATISTICS_SECONDS)
    with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
        cursor.execute(WORK)
        wal, temp, read = cursor.fetchone() or (0, 0, 0)
    return int(wal), int(temp), int(read)


def _cells(line: Line) -> list[str]:
    """Return a line's cells but the first; a unit costs micro-, milliseconds or seconds."""
    cost = line.microseconds
    scaled = next(
        (cost / size, name) for size, name in ((1e6, "s"), (1e3, "ms"), (1, "µs")) if cost >= size or size == 1
    )
    numbers = (line.peak_mb, line.disk_mb, line.wal_mb, line.temp_mb, line.read_mb)
    return [
        line.size, f"{line.seconds:.2f}", f"{scaled[0]:.3g} {scaled[1]} a {line.unit}",
        f"{line.growth:.2f}" if line.growth else "", *("" if one is None else f"{one:,}" for one in numbers),
    ]  # fmt: skip
