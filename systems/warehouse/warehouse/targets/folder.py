"""A folder of this machine: durable files, an atomic replace for the pointer, a lock that ends with its process."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from etlkit.errors import LockedError
from warehouse.targets.target import LostRaceError, Stored, Tagged, Target

_SHARED_LEVELS = 2
"""How deep the folders lie that another dataset's run may be about to write into."""


class Folder(Target):
    """A folder; its objects are files that are linked or replaced, never changed."""

    is_local = True

    def __init__(self, root: Path) -> None:
        """Name the folder; it is made when something is stored."""
        self.root = root.absolute()
        self.url = str(self.root)

    def location(self, key: str) -> str:
        """Return a path."""
        return str(self._path(key))

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Yield the files below a prefix."""
        base = self._path(prefix) if prefix else self.root
        found = [Path(folder) / name for folder, _folders, names in os.walk(base) for name in names]
        for path in sorted(found, key=lambda one: one.relative_to(self.root).as_posix()):
            with suppress(FileNotFoundError):
                yield Stored(path.relative_to(self.root).as_posix(), path.stat().st_size)

    def read(self, key: str) -> Tagged | None:
        """Return a file's content and its hash."""
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        return Tagged(content, hashlib.sha256(content).hexdigest())

    def write(self, key: str, content: bytes) -> None:
        """Write a file beside its place and move it there."""
        path = self._room_for(key)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
            try:
                file.write(content)
                self._keep(file.fileno())
            except BaseException:
                Path(file.name).unlink()
                raise
        Path(file.name).replace(path)
        self._sync(path.parent)

    def upload(self, path: Path, key: str) -> None:
        """Copy a file beside its place and move it there."""
        to = self._room_for(key)
        with (
            path.open("rb") as source,
            tempfile.NamedTemporaryFile(dir=to.parent, prefix=".", suffix=".part", delete=False) as file,
        ):
            try:
                shutil.copyfileobj(source, file, 1 << 20)
                self._keep(file.fileno())
            except BaseException:
                Path(file.name).unlink()
                raise
        Path(file.name).replace(to)
        self._sync(to.parent)

    def download(self, key: str, path: Path) -> None:
        """Copy a file."""
        shutil.copyfile(self._path(key), path)

    def copy(self, key: str, to: str) -> None:
        """Give a file a second name; it never changes, so it need not be copied."""
        source, path = self._path(key), self._room_for(to)
        try:
            os.link(source, path)
        except (FileExistsError, FileNotFoundError) as error:
            if not path.exists():
                raise FileNotFoundError(error.errno, error.strerror, str(source)) from None
        except OSError:  # a file system without links
            self.upload(source, to)
        self._sync(path.parent)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files, and the folders that are empty then."""
        for key in keys:
            path = self._path(key)
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if len(folder.relative_to(self.root).parts) <= _SHARED_LEVELS:
                    break
                try:
                    folder.rmdir()
                except OSError:  # there is something left in it
                    break

    def swap(self, key: str, content: bytes, expected: Tagged | None) -> None:
        """Replace a file at once; who swaps holds the lock, so that nobody comes between the look and the replacing."""
        found = self.read(key)
        if (found and found.tag) != (expected and expected.tag):
            raise LostRaceError(f"{self.location(key)} was swapped by another run meanwhile.", "Theirs stays.")
        self.write(key, content)

    @contextmanager
    def lock(self, name: str, holder: str) -> Iterator[None]:
        """Hold a lock file; it is free when its process ends, however it ends."""
        path = self._room_for(f"locks/{name}.lock")
        said = path.with_suffix(".holder")
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            who = said.read_text(encoding="utf-8") if said.exists() else "another run"
            raise LockedError(f"{name} in {self.url} is held by {who}.", "Run again when it is done.") from None
        try:
            said.write_text(holder, encoding="utf-8")
            yield
            said.unlink(missing_ok=True)
        finally:
            lock.release()

    def _path(self, key: str) -> Path:
        """Return a key's path; ValueError for one that would lie outside."""
        parts = key.rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{key!r} is no key")
        return self.root.joinpath(*parts)

    def _room_for(self, key: str) -> Path:
        """Return a key's path, whose folder is there."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @staticmethod
    def _keep(descriptor: int) -> None:
        """Let a temporary file be read like others, and reach the disk."""
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(descriptor, 0o666 & ~umask)
        os.fsync(descriptor)

    @staticmethod
    def _sync(folder: Path) -> None:
        """Let a folder's names reach the disk."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
