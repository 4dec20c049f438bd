"""Merging judged kiosk files into the combined file: sorted by time, in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from museum.combined import COMBINED_COLUMNS, KioskObject
from museum.duck import DuckDB

MEMORY_LIMIT = "96MB"
THREADS = 1
"""The database needs the other core meanwhile, and a second thread costs a hundred megabytes."""


class KioskMerge:
    """One merge, which another thread may stop."""

    def __init__(self, spill_dir: Path) -> None:
        """Open it; what is larger than memory goes to spill_dir."""
        self._duck = DuckDB(spill_dir, memory_limit=MEMORY_LIMIT, threads=THREADS)

    def write(self, path: Path, judged_dir: Path, objects: Sequence[KioskObject]) -> None:
        """Write the rows of judged objects, given in natural key order, to the combined file.

        Raises duckdb.Error for what DuckDB cannot do, a stop among it.
        """
        if not objects:
            path.write_text(",".join(COMBINED_COLUMNS) + "\n", encoding="ascii")
            return
        keys = [item.key for item in objects]
        self._duck.run("create_object_key", keys=keys)
        self._duck.run("create_object", keys=keys)
        self._duck.run("write_combined", path=str(path), paths=[str(judged_dir / item.rows_file) for item in objects])

    def stop(self) -> None:
        """Break the merge off, from another thread."""
        self._duck.stop()

    def close(self) -> None:
        """Free memory and temporary files."""
        self._duck.close()
