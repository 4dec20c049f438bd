"""The combined kiosk file: judged files, merged and sorted by time in a thread of its own.

A load may stage the judged rows meanwhile, but it commits only after `finish`, so the database never holds what
`combined_data/` does not. Until then the combined files of the last run stay as they were.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from etlkit.errors import EtlError
from etlkit.signals import stopping_signal
from museum.batch.duck import DuckDB, duckdb_errors
from museum.batch.manifest import (
    JUDGED_DIR,
    KIOSK_FILE,
    MANIFEST_FILE,
    OUTPUTS,
    SPILL_DIR,
    CombinedManifest,
    write_combined_manifest,
)

UNFINISHED_DIR = ".unfinished"
STOPPING_SECONDS = 0.05
MEMORY_LIMIT = "96MB"
LESS_PRIORITY = 10
"""As `nice` has it; the load waits for each row's COPY, nobody for the combined file before the commit."""


@contextmanager
def writing_combined(combined_dir: Path, manifest: CombinedManifest) -> Iterator[Callable[[], None]]:
    """Write the combined file meanwhile; `finish`, called in the end if no signal came, puts all files into place."""
    writer = CombinedWriter(combined_dir, manifest)
    try:
        yield writer.finish
        writer.finish()
    except Exception:
        if not stopping_signal():  # a library that was waiting in C may have turned its exception into one of its own
            with suppress(EtlError, OSError):
                writer.finish()
        raise
    finally:
        writer.abandon()


class CombinedWriter:
    """Combines a transform whose exhibitions, judged rows and rejects are written already."""

    def __init__(self, combined_dir: Path, manifest: CombinedManifest) -> None:
        """Begin to write."""
        self._combined_dir = combined_dir
        self._unfinished_dir = combined_dir / UNFINISHED_DIR
        self._manifest = manifest
        self._duck = DuckDB(self._unfinished_dir / SPILL_DIR, memory_limit=MEMORY_LIMIT)
        pool = ThreadPoolExecutor(1, thread_name_prefix="merge")
        self._written = pool.submit(self._write)
        pool.shutdown(wait=False)
        self._is_finished = False

    def finish(self) -> None:
        """Wait for the combined kiosk file and put all files in the place of the old ones; DataError if it failed."""
        if self._is_finished:
            return
        advice = f"Is the disk of {self._combined_dir} full? Then free space and run again."
        with duckdb_errors("merging the kiosk files", advice):
            self._written.result()
        self._duck.close()
        (self._combined_dir / MANIFEST_FILE).unlink(missing_ok=True)
        for name in OUTPUTS:
            if name != KIOSK_FILE or self._manifest.has_combined_csv:
                (self._unfinished_dir / name).replace(self._combined_dir / name)
            else:
                (self._combined_dir / name).unlink(missing_ok=True)
        write_combined_manifest(self._combined_dir, self._manifest)
        self._is_finished = True
        remove_leftovers(self._combined_dir, self._manifest)

    def abandon(self) -> None:
        """Stop writing; the combined files of the last run stay. Nothing happens to files that are finished."""
        while not self._written.done():
            self._duck.stop()
            wait([self._written], STOPPING_SECONDS)
        self._duck.close()
        shutil.rmtree(self._unfinished_dir, ignore_errors=True)

    def _write(self) -> None:
        """Write the rows of the readable objects, which stand in natural key order, to the combined file."""
        if not self._manifest.has_combined_csv:
            return
        give_way()
        path = self._unfinished_dir / KIOSK_FILE
        objects = [item for item in self._manifest.kiosk_objects if not item.problem]
        if not objects:
            path.write_text("at,site,val,type,object,row\n", encoding="ascii")
            return
        keys = [item.key for item in objects]
        self._duck.run("create_object_key", keys=keys)
        self._duck.run("create_object", keys=keys)
        paths = [str(self._combined_dir / JUDGED_DIR / item.rows_file) for item in objects]
        self._duck.run("write_combined", path=str(path), paths=paths)


def give_way() -> None:
    """Let the load have the processor before this thread; only Linux has priorities of threads."""
    if sys.platform == "linux":
        os.nice(LESS_PRIORITY)


def remove_leftovers(combined_dir: Path, manifest: CombinedManifest) -> None:
    """Remove judged files that no object has any more and what an unfinished transform left; what cannot go, stays."""
    needed = {name for item in manifest.kiosk_objects for name in item.judged_files}
    with suppress(FileNotFoundError):
        for path in (combined_dir / JUDGED_DIR).iterdir():
            if path.name not in needed:
                with suppress(OSError):
                    path.unlink()
    shutil.rmtree(combined_dir / UNFINISHED_DIR, ignore_errors=True)
