"""Objects of the bucket: which keys are data, in which order, where they lie locally, and what was fetched when."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from etlkit.errors import LockedError

DATA_LOCK = ".museum.lock"
EXTRACT_MANIFEST = ".extract_manifest.json"
LONGEST_NAME_BYTES = 255
LONGEST_PATH_BYTES = 1024
LONGEST_SHOWN_KEY = 100
_LOOK_ALIKE = re.compile(r"hist_data|\.(csv|tsv|json|jsonl|ndjson|xlsx?)(\.\w+)?$", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RemoteObject(NamedTuple):
    """An object of the bucket's listing."""

    key: str
    etag: str
    size_bytes: int


@dataclass
class ExtractManifest:
    """What the extract has fetched into `bucket_data/`, and from which bucket."""

    bucket: str = ""
    fetched: dict[str, dict[str, Any]] = field(default_factory=dict)

    def holds(self, remote: RemoteObject, path: Path) -> bool:
        """Tell whether the local file is the object as it is in the bucket now."""
        with suppress(OSError):
            return self.fetched.get(remote.key) == _stamp(remote, path)
        return False

    def note(self, remote: RemoteObject, path: Path) -> None:
        """Remember a fetched object and the local file's time, so that an edited file is fetched again."""
        self.fetched[remote.key] = _stamp(remote, path)


def _stamp(remote: RemoteObject, path: Path) -> dict[str, Any]:
    """Return what tells an object and its local file from others; OSError where there is no file."""
    found = path.stat()
    is_whole = found.st_size == remote.size_bytes
    return {"etag": remote.etag, "size_bytes": remote.size_bytes, "mtime_ns": found.st_mtime_ns if is_whole else None}


def read_manifest(bucket_dir: Path) -> ExtractManifest:
    """Return the manifest, an empty one when there is none or it is damaged (then everything is fetched again)."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        manifest = ExtractManifest(**json.loads((bucket_dir / EXTRACT_MANIFEST).read_text(encoding="utf-8")))
        if all(isinstance(item, dict) for item in manifest.fetched.values()):
            return manifest
    return ExtractManifest()


def write_manifest(bucket_dir: Path, manifest: ExtractManifest) -> None:
    """Write the manifest whole or not at all."""
    write_whole(bucket_dir / EXTRACT_MANIFEST, json.dumps(asdict(manifest), indent=1))


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield where to write a file that takes its place when it is finished."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    yield unfinished
    unfinished.replace(path)


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader or a kill never meets half of it."""
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def data_folder_lock(data_dir: Path) -> Iterator[None]:
    """Hold a data folder, so that two commands never write one at a time; LockedError when it is taken."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / DATA_LOCK, timeout=0)
    holder = (data_dir / DATA_LOCK).with_suffix(".holder")
    try:
        lock.acquire()
    except Timeout as error:
        by = holder.read_text(encoding="utf-8") if holder.exists() else "another command"
        problem = f"the data folder {data_dir} is in use by {by}. Nothing was touched; try again later."
        raise LockedError(problem) from error
    try:
        holder.write_text(f"process {os.getpid()} ({Path(sys.argv[0]).name})", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def key_problem(key: str) -> str | None:
    """Return why a key cannot be mirrored as a file below `bucket_data/`, None when it can."""
    if _CONTROL.search(key):
        return "control character in the key"
    if "\\" in key:
        return "backslash in the key"
    if key.encode("utf-8", "ignore").decode("utf-8") != key:
        return "key is not valid Unicode"
    if key.startswith("/") or re.match(r"[A-Za-z]:", key):
        return "absolute path"
    segments = key.split("/")
    if ".." in segments or "." in segments:
        return "path steps out of its folder"
    if "" in segments:
        return "folder marker" if key.endswith("/") and "" not in segments[:-1] else "empty path segment"
    if any(len(segment.encode()) > LONGEST_NAME_BYTES for segment in segments):
        return f"name longer than {LONGEST_NAME_BYTES} bytes"
    if len(key.encode()) > LONGEST_PATH_BYTES:
        return f"key longer than {LONGEST_PATH_BYTES} bytes"
    return None


def ascii_key(key: str) -> str:
    """Return a key in a form that is safe and short enough to print."""
    shown = key if len(key) <= LONGEST_SHOWN_KEY else f"{key[:LONGEST_SHOWN_KEY]}..."
    return shown if shown.isascii() and shown.isprintable() else ascii(shown)


def local_path(bucket_dir: Path, key: str) -> Path | None:
    """Return where a safe key lies, None when a link in the folder would lead it elsewhere."""
    path = bucket_dir / key
    return path if path.resolve().is_relative_to(bucket_dir.resolve()) else None


def is_kiosk_key(key: str, prefix: str) -> bool:
    """Tell whether a whole key is a kiosk file's."""
    return bool(re.fullmatch(re.escape(prefix) + r"_hist_data_\d+\.csv", key, re.ASCII))


def is_exhibition_key(key: str, prefix: str) -> bool:
    """Tell whether a whole key is an exhibition file's."""
    return bool(re.fullmatch(re.escape(prefix) + r"_exhibition_[A-Za-z0-9-]+\.json", key, re.ASCII))


def is_look_alike(key: str) -> bool:
    """Tell whether a key that is none of these looks as if it were meant to be."""
    return bool(_LOOK_ALIKE.search(key))


def natural_order(key: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that puts file 10 after file 9."""
    parts = re.findall(r"(\d+)|(\D+)", key, re.ASCII)
    return [(0, int(digits), "") if digits else (1, 0, text) for digits, text in parts], key
