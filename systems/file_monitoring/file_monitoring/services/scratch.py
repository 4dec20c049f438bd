"""Folders for temporary files that are gone afterwards, also those of a process that was killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "file-monitoring-"


@contextmanager
def scratch_folder(root: Path | None) -> Iterator[Path]:
    """Yield a new folder below root, else below TMPDIR; remove it in the end, and first what killed processes left."""
    home = root or Path(tempfile.gettempdir())
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f"{PREFIX}lock"):
        _remove_abandoned(home)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
        lock = FileLock(folder / "lock")
        lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(home: Path) -> None:
    """Remove the folders whose owners do not live any more: their locks went with them."""
    for folder in home.glob(f"{PREFIX}*/"):
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # in use, or another user's
            continue
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)
