"""The interface of a folder and a bucket: keys, objects that never change, and one pointer that is swapped.

Keys are joined with `/`, prefixes end in `/`. What is written is durable when the call returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from etlkit.errors import LockedError


class LostRaceError(LockedError):
    """Somebody else swapped the pointer meanwhile; what they published stays."""


@dataclass(frozen=True)
class Stored:
    """An object: its key and its bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class Tagged:
    """A small object's content, and the mark by which a swap knows that it is still the same."""

    content: bytes
    tag: str


class Target(ABC):
    """Where raw files, tables, manifests and quarantine lie."""

    url: str
    is_local: bool

    @abstractmethod
    def location(self, key: str) -> str:
        """Return where an engine finds a key or a prefix."""

    @abstractmethod
    def stored(self, prefix: str) -> Iterator[Stored]:
        """Yield what lies below a prefix, which ends in `/` or is empty, in the order of the keys."""

    @abstractmethod
    def read(self, key: str) -> Tagged | None:
        """Return a small object; None where there is none."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Store a small object."""

    @abstractmethod
    def upload(self, path: Path, key: str) -> None:
        """Store a file."""

    @abstractmethod
    def download(self, key: str, path: Path) -> None:
        """Bring an object into a file; FileNotFoundError where there is none."""

    @abstractmethod
    def copy(self, key: str, to: str) -> None:
        """Store an object under another key, too; FileNotFoundError where there is none."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, whether they are there or not."""

    @abstractmethod
    def swap(self, key: str, content: bytes, expected: Tagged | None) -> None:
        """Put a small object in the place of the expected one; LostRaceError where another stands there."""

    @abstractmethod
    def lock(self, name: str, holder: str) -> AbstractContextManager[None]:
        """Hold a lock while inside; LockedError names who holds it."""

    def delete_below(self, prefix: str) -> int:
        """Delete all that lies below a prefix; return how many objects that were."""
        keys = [stored.key for stored in self.stored(checked_prefix(prefix))]
        self.delete(keys)
        return len(keys)


def checked_prefix(prefix: str) -> str:
    """Return a prefix; ValueError for one that would take neighbours along, as foo takes foo_x."""
    if not prefix.endswith("/") or prefix == "/":
        raise ValueError(f"{prefix!r} is no prefix: it does not end in / or names everything")
    return prefix
