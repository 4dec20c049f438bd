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
        """Print as Markdown: of each step its seconds, how a unit's cost grew, and the rest at the last size."""
        sizes = list(dict.fromkeys(line.size for line in self.lines))
        steps: dict[str, dict[str, Line]] = {}
        for line in self.lines:
            steps.setdefault(line.step, {})[line.size] = line
        table = [
            [step, *(_seconds(found.get(size)) for size in sizes), *_at_the_last(list(found.values())[-1])]
            for step, found in steps.items()
        ]
        last = ["a unit", "peak MB", "disk MB", "WAL MB", "temp MB", "read MB"]
        text = tabulate(table, ["seconds, x a unit", *sizes, *last], tablefmt="github", disable_numparse=True)
        print(f"\n{self.title}: {machine()}; x a unit's cost at {self.base}; the last columns are of {sizes[-1]}\n")
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


def _seconds(line: Line | None) -> str:
    """Return a step's seconds at a size, and how a unit's cost grew."""
    if line is None:
        return ""
    seconds = f"{line.seconds:,.0f}" if line.seconds >= 100 else f"{line.seconds:#.3g}".rstrip(".")
    return f"{seconds} x{line.growth:.2f}" if line.growth else seconds


def _at_the_last(line: Line) -> list[str]:
    """Return what a unit costs, in micro-, milliseconds or seconds, and the megabytes."""
    cost = line.microseconds
    size, name = next(one for one in ((1e6, "s"), (1e3, "ms"), (1, "µs")) if cost >= one[0] or one[0] == 1)
    numbers = (line.peak_mb, line.disk_mb, line.wal_mb, line.temp_mb, line.read_mb)
    return [f"{cost / size:.3g} {name} a {line.unit}", *("" if one is None else f"{one:,}" for one in numbers)]
