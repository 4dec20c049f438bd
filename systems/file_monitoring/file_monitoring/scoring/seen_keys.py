"""The keys that were seen in a file: in memory while they are few, then on disk, exactly in both."""

from __future__ import annotations

import sqlite3
from pathlib import Path

PRAGMAS = (
    "pragma journal_mode = off",
    "pragma synchronous = off",
    "pragma locking_mode = exclusive",
    "pragma cache_size = -20000",
)
"""It is thrown away in the end, so nothing needs to be durable; 20 MB of it are kept in memory."""

MOST_CHARACTERS = 32_000_000
"""Of all keys that are in memory."""


class SeenKeys:
    """A growing set of texts whose memory does not grow beyond a count."""

    def __init__(self, path: Path, most_in_memory: int) -> None:
        """Begin with nothing; the path is of the file that is made when it is needed."""
        self._path = path
        self._most = most_in_memory
        self._known: set[str] = set()
        self._size = 0
        self._database: sqlite3.Connection | None = None

    def has_seen(self, key: str) -> bool:
        """Tell whether a key was seen before; it is from now on."""
        if self._database is None:
            if key in self._known:
                return True
            self._known.add(key)
            self._size += len(key)
            if len(self._known) > self._most or self._size > MOST_CHARACTERS:
                self._go_to_disk()
            return False
        return self._database.execute("insert or ignore into seen values (?)", (key,)).rowcount == 0

    def close(self) -> None:
        """Forget all."""
        if self._database is not None:
            self._database.close()
            self._path.unlink(missing_ok=True)

    def _go_to_disk(self) -> None:
        """Move what is known into a table on disk."""
        self._path.unlink(missing_ok=True)
        self._database = sqlite3.connect(self._path, isolation_level=None)
        for pragma in PRAGMAS:
            self._database.execute(pragma)
        self._database.execute("create table seen (key text primary key) without rowid")
        self._database.execute("begin")
        self._database.executemany("insert into seen values (?)", ((key,) for key in self._known))
        self._known = set()
