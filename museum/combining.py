"""Combined files under way: judged already, while a thread still sorts and writes the large one.

A load may stage the judged rows meanwhile, but it commits only after `finish`, so the database never holds what
`combined_data/` does not. Until then the files of the last run stay as they were.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import duckdb

from museum.combined import (
    EXHIBITION_FILE,
    KIOSK_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    CombinedFiles,
    CombinedManifest,
    write_combined_manifest,
)
from museum.duck import duckdb_errors
from museum.kiosk_merge import KioskMerge

SPILL_DIR = "spill"


class CombiningFiles(CombinedFiles):
    """Files of a transform whose exhibitions, judged rows and rejects are written, in a folder of their own."""

    def __init__(self, combined_dir: Path, manifest: CombinedManifest, unfinished_dir: Path) -> None:
        """Begin to write the combined kiosk file."""
        super().__init__(combined_dir, manifest)
        self._unfinished_dir = unfinished_dir
        self._is_finished = False
        self._merge = KioskMerge(unfinished_dir / SPILL_DIR)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="merge")
        readable = [item for item in manifest.kiosk_objects if not item.problem]
        self._written = self._pool.submit(self._merge.write, unfinished_dir / KIOSK_FILE, self.judged_dir, readable)

    @property
    def folder(self) -> Path:
        """Return where the exhibitions and the rejected rows lie now."""
        return self.combined_dir if self._is_finished else self._unfinished_dir

    def finish(self) -> None:
        """Wait for the combined kiosk file and put all files in the place of the old ones; DataError if it failed."""
        if self._is_finished:
            return
        with duckdb_errors(self._unfinished_dir / SPILL_DIR):
            self._written.result()
        self._close()
        (self.combined_dir / MANIFEST_FILE).unlink(missing_ok=True)
        for name in (EXHIBITION_FILE, KIOSK_FILE, REJECTS_FILE):
            (self._unfinished_dir / name).replace(self.combined_dir / name)
        write_combined_manifest(self.combined_dir, self.manifest)
        self._is_finished = True
        self._remove_what_is_not_needed()

    def abandon(self) -> None:
        """Stop writing; the files of the last run stay."""
        self._merge.stop()
        with suppress(duckdb.Error, OSError):
            self._written.result()
        self._close()

    def _close(self) -> None:
        self._pool.shutdown()
        self._merge.close()

    def _remove_what_is_not_needed(self) -> None:
        """Remove judged files that no object has any more, and the unfinished folder."""
        needed = {name for item in self.manifest.kiosk_objects for name in item.judged_files}
        for path in self.judged_dir.iterdir():
            if path.name not in needed:
                path.unlink()
        shutil.rmtree(self._unfinished_dir, ignore_errors=True)
