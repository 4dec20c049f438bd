"""Staging: in come the files that an engine wrote, out go their places below `temp/` and what a manifest says of them.

A run is judged here, where no reader looks; publication moves it to its place. Whatever lies below a run's `temp/` is
removed by the next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etlkit.errors import DataError
from warehouse.engines.engine import Engine
from warehouse.naming import RUN, temp_prefix
from warehouse.raw_files import hash_of
from warehouse.targets.target import Target

QUARANTINE_FILE = "quarantine.parquet"


@dataclass
class Staging:
    """The files of one run, from where its engine writes them to where they are published from."""

    target: Target
    engine: Engine
    dataset: str
    run_id: str
    folder: Path
    """Of this machine, for files that no other one must read."""
    moved: dict[str, str] = field(default_factory=dict)
    """For each key below `temp/` the one that it gets."""

    @property
    def _temp(self) -> str:
        return temp_prefix(self.dataset, self.run_id)

    def place(self, table: str) -> str:
        """Return where the engine writes a table."""
        if self.engine.needs_shared_files:
            return self.target.location(f"{self._temp}tables/{table}")
        return str(self.folder / f"table-{table}")

    def shared(self, path: Path, name: str) -> str:
        """Return where the engine reads a file of this machine."""
        if not self.engine.needs_shared_files or self.target.is_local:
            return str(path)
        key = f"{self._temp}work/{name}"
        self.target.upload(path, key)
        return self.target.location(key)

    def brought(self, files: Iterable[Mapping[str, Any]], name: str) -> list[str]:
        """Return where the engine reads published files, which stay what they are while their run is archived.

        DataError where one is neither where its manifest says nor in the archive, or is not what was published.
        """
        return [self._brought(file, f"{name}-{number}.parquet") for number, file in enumerate(files)]

    def take(self, table: str, final: str) -> list[dict[str, Any]]:
        """Bring a written table's files below `temp/`; return what a manifest says of each."""
        staged = f"{self._temp}tables/{table}/"
        if not self.engine.needs_shared_files:
            for path in sorted(Path(self.place(table)).iterdir()):
                self.target.upload(path, staged + path.name)
        files = []
        kept = [stored for stored in self.target.stored(staged) if stored.key.endswith(".parquet")]
        for number, stored in enumerate(kept):
            key = f"{final}part-{number:05}.parquet"
            self.moved[stored.key] = key
            files.append({"key": key, "bytes": stored.size, "sha256": self._hash(table, stored.key)})
        return files

    def take_quarantine(self, table: str, path: Path) -> str:
        """Bring a table's bad rows below `temp/`; return the key that they get."""
        key = f"{self._temp}quarantine/{table}/{QUARANTINE_FILE}"
        self.target.upload(path, key)
        self.moved[key] = f"quarantine/{self.dataset}/{RUN}{self.run_id}/{table}/{QUARANTINE_FILE}"
        return self.moved[key]

    def clear(self) -> None:
        """Remove what the engine wrote into the target."""
        if self.engine.needs_shared_files:
            self.target.delete_below(self._temp)

    def _brought(self, file: Mapping[str, Any], name: str) -> str:
        """Return where the engine reads a published file; one that was archived meanwhile is read there."""
        key = file["key"]
        for place in (key, f"archive/{key}"):
            with suppress(FileNotFoundError):
                found = self._brought_from(place, name)
                break
        else:
            raise DataError(
                f"{self.target.location(key)} is not there, nor in the archive, though its manifest names it.",
                "Run its dataset again with --force.",
            )
        if not self.engine.needs_shared_files and hash_of(Path(found)) != file["sha256"]:
            raise DataError(f"{self.target.location(key)} is not what was published: its hash differs.")
        return found

    def _brought_from(self, key: str, name: str) -> str:
        """Give a file another name for as long as the run lasts, or bring it to this machine."""
        if self.engine.needs_shared_files:
            to = f"{self._temp}read/{name}"
            self.target.copy(key, to)
            return self.target.location(to)
        path = self.folder / name
        self.target.download(key, path)
        return str(path)

    def _hash(self, table: str, key: str) -> str:
        """Return the hash of a written file."""
        local = Path(self.place(table)) / key.rsplit("/", 1)[-1]
        if self.engine.needs_shared_files:
            local = self.folder / "written"
            self.target.download(key, local)
        return hash_of(local)
