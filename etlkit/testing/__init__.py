"""What every system's tests share: private servers, full counts and seeds, no silent skips, and the laws as a suite.

A system's top conftest.py says `pytest_plugins = ["etlkit.testing.plugin"]`, and names in its pytest settings the
variables that are its own, the skips that it allows, and the fixtures whose tests stay together on one worker.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import TypeVar

FULL = os.environ.get("ETL_FULL") == "1"
SEED = int(os.environ.get("ETL_SEED", "1815"))
COUNTS: dict[str, str] = {}
"""What this run does how often, by name: the summary of a full run prints it."""
SERVER_ROOM = 4_000_000_000
Count = TypeVar("Count")


def make_server_home(name: str) -> Path:
    """Return a new folder for a server's data, in memory where there is room: making databases takes a fifth there."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > SERVER_ROOM
    home = Path(tempfile.mkdtemp(prefix=f"etl-test-{name}-", dir=memory if has_room else None))
    home.chmod(0o755)  # a server runs as a user of its own
    return home


def full_count(what: str, short: Count, full: Count) -> Count:
    """Return how many kills, faults or examples this run has: few by default, all with ETL_FULL=1."""
    count = full if FULL else short
    COUNTS[what] = "all" if count is None else f"{count:,}"
    return count


def seeds(what: str, short: int, full: int) -> range:
    """Return a seed for each of so many random histories, others with another ETL_SEED."""
    return range(SEED, SEED + full_count(what, short, full))


def seeded_random(name: str) -> random.Random:
    """Return the random numbers of a test, the same for the same ETL_SEED."""
    return random.Random(f"{SEED} {name}")


SLOW_MODULE = "import time\nprint('loading', flush=True)\nfor _ in range(600):\n    time.sleep(0.1)\n"
"""A module that takes a minute to load, in small naps: a signal that comes just before one is heard after it."""
