"""Combined files under way: judged already, while a thread still sorts and writes the large one.

A load may stage the judged rows meanwhile, but it commits only after `finish`, so the database never holds what
`combined_data/` does not. Until then the combined files of the last run stay as they were.
"""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from museum.combined import (
    EXHIBITION_FILE,
    JUDGED_DIR,
    KIOSK_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    CombinedFiles,
    CombinedManifest,
    write_combined_manifest,
)
from museum.duck import duckdb_errors
from museum.kiosk_merge import KioskMerge

UNFINISHED_DIR = ".unfinished"
SPILL_DIR = "spill"
STOPPING_SECONDS = 0.05


class CombiningFiles(CombinedFiles):
    """Files of a transform whose exhibitions, judged rows and rejects are written, in a folder of their own."""

    def __init__(self, combined_dir: Path, manifest: CombinedManifest) -> None:
        """Begin to write the combined kiosk file."""
        super().__init__(combined_dir, manifest)
        self._unfinished_dir = combined_dir / UNFINISHED_DIR
        self._is_finished = False
        self._merge = KioskMerge(self._unfinished_dir / SPILL_DIR)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="merge")
        readable = [item for item in manifest.kiosk_objects if not item.problem]
        path = self._unfinished_dir / KIOSK_FILE
        self._written: Future[None] = self._pool.submit(self._merge.write, path, self.judged_dir, readable)

    @property
    def folder(self) -> Path:
        """Return where the exhibitions and the rejected rows lie now."""
        return self.combined_dir if self._is_finished else self._unfinished_dir

    def finish(self) -> None:
        """Wait for the combined kiosk file and put all files in the place of the old ones; DataError if it failed.

        When a signal ends the waiting, the merge goes on until `abandon`.
        """
        if self._is_finished:
            return
        try:
            with duckdb_errors(
                "merging the kiosk files", f"Is the disk of {self.combined_dir} full? Then free space and run again."
            ):
                self._written.result()
        except Exception:
            self._close()
            raise
        self._close()
        (self.combined_dir / MANIFEST_FILE).unlink(missing_ok=True)
        for name in (EXHIBITION_FILE, KIOSK_FILE, REJECTS_FILE):
            (self._unfinished_dir / name).replace(self.combined_dir / name)
        write_combined_manifest(self.combined_dir, self.manifest)
        self._is_finished = True
        remove_leftovers(self.combined_dir, self.manifest)

    def abandon(self) -> None:
        """Stop writing; the combined files of the last run stay. Nothing happens to files that are finished."""
        while not self._written.done():
            self._merge.stop()
            wait([self._written], STOPPING_SECONDS)
        self._close()
        shutil.rmtree(self._unfinished_dir, ignore_errors=True)

    def _close(self) -> None:
        """Free what the merge held."""
        self._pool.shutdown()
        self._merge.close()


def remove_leftovers(combined_dir: Path, manifest: CombinedManifest) -> None:
    """Remove judged files that no object has any more and what an unfinished transform left; what cannot go, stays."""
    needed = {name for item in manifest.kiosk_objects for name in item.judged_files}
    with suppress(FileNotFoundError):
        for path in (combined_dir / JUDGED_DIR).iterdir():
            if path.name not in needed:
                with suppress(OSError):
                    path.unlink()
    shutil.rmtree(combined_dir / UNFINISHED_DIR, ignore_errors=True)
