"""The combined files and their manifest: what the transform hands to the load.

`combined_data/` holds the two combined CSV files, the rejected rows as JSON lines, `judged/` with the rows of every
kiosk file as they were judged (typed, in Parquet), and `manifest.json`, which is removed first and written last, so
that files of an unfinished transform are never taken for finished ones.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from museum.objects import write_whole

EXHIBITION_FILE = "combined_exhibition_data.csv"
KIOSK_FILE = "combined_museum_data.csv"
REJECTS_FILE = "rejected_rows.jsonl"
MANIFEST_FILE = "manifest.json"
JUDGED_DIR = "judged"
COMBINED_COLUMNS = ("at", "site", "val", "type", "object", "row")
LOCAL_FILES = "file:"
"""Stands in the place of the bucket for files that never were in one; no bucket can have this name."""


@dataclass
class KioskObject:
    """One kiosk file as the transform judged it; `judged` names the files below `judged/`, times are ISO in UTC."""

    key: str
    content_hash: str
    size_bytes: int
    columns: list[str] = field(default_factory=list)
    rows: int = 0
    combined: int = 0
    problem: str | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    out_of_hours: int = 0
    ambiguous: int = 0
    last_at: str | None = None
    judged: str = ""

    @property
    def rows_file(self) -> str:
        """Return the name of the Parquet file with the well-formed rows; a file with a problem has none."""
        return f"{self.judged}.parquet"

    @property
    def rejects_file(self) -> str:
        """Return the name of the file with the rejected rows."""
        return f"{self.judged}.jsonl"

    @property
    def judged_files(self) -> list[str]:
        """Return the names of the files below `judged/`."""
        return [self.rejects_file] if self.problem else [self.rejects_file, self.rows_file]

    def holds_at(self, latest_at: datetime) -> bool:
        """Tell whether the future check would say the same of every row at another present."""
        return "future_at" not in self.reasons and (
            not self.last_at or datetime.fromisoformat(self.last_at) <= latest_at
        )


@dataclass
class CombinedManifest:
    """What the combined files were made from."""

    fingerprint: str
    bucket: str
    kiosk_objects: list[KioskObject]
    exhibition_keys: list[str]
    exhibition_records: int = 0
    exhibition_rejects: int = 0
    exhibitions: int = 0
    exhibition_reasons: dict[str, int] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outputs: dict[str, list[int]] = field(default_factory=dict)

    def holds_at(self, latest_at: datetime) -> bool:
        """Tell whether the future check would say the same of every row if the files were made now."""
        return all(item.holds_at(latest_at) for item in self.kiosk_objects)

    @property
    def rows(self) -> int:
        """Return the number of rows in all readable kiosk files."""
        return sum(item.rows for item in self.kiosk_objects)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all kiosk files."""
        return sum(item.size_bytes for item in self.kiosk_objects)

    @property
    def out_of_hours(self) -> int:
        """Return how many combined rows lie out of opening hours."""
        return sum(item.out_of_hours for item in self.kiosk_objects)

    @property
    def ambiguous(self) -> int:
        """Return how many combined rows lie in an hour that occurs twice."""
        return sum(item.ambiguous for item in self.kiosk_objects)

    @property
    def rejected(self) -> int:
        """Return the number of rows, files and exhibition records that the transform rejected."""
        return sum(item.rejected + bool(item.problem) for item in self.kiosk_objects) + self.exhibition_rejects

    @property
    def reasons(self) -> dict[str, int]:
        """Return how often each reason was given."""
        total: Counter[str] = Counter(self.exhibition_reasons)
        for item in self.kiosk_objects:
            total.update(item.reasons)
        return dict(sorted(total.items()))


@dataclass(frozen=True)
class RejectedRow:
    """A line of the rejects file; row 0 is a whole file.

    `provisional` marks a row that is well formed and stands in the combined file too: only the stand-in reference is
    against it, and the load asks the database.
    """

    kind: str
    object: str
    row: int
    reasons: tuple[str, ...]
    raw: bytes
    provisional: bool = False

    def to_json(self) -> str:
        """Return the line: the text where it is UTF-8, else its bytes in base64."""
        fields: dict[str, Any] = {"kind": self.kind, "object": self.object, "row": self.row, "reasons": self.reasons}
        if self.provisional:
            fields["provisional"] = True
        try:
            fields["text"] = self.raw.decode("utf-8")
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(self.raw).decode("ascii")
        return json.dumps(fields) + "\n"


class CombinedFiles:
    """Combined files to load from; those of a transform that is still under way are finished by `finish`."""

    def __init__(self, combined_dir: Path, manifest: CombinedManifest) -> None:
        self.combined_dir = combined_dir
        self.manifest = manifest

    @property
    def folder(self) -> Path:
        """Return where the exhibitions and the rejected rows lie now."""
        return self.combined_dir

    @property
    def judged_dir(self) -> Path:
        """Return where the judged rows lie."""
        return self.combined_dir / JUDGED_DIR

    def finish(self) -> None:
        """Return when all files are in their places; the load commits after that."""

    def abandon(self) -> None:
        """Leave unfinished files as they are."""


def read_rejected_rows(folder: Path) -> Iterator[RejectedRow]:
    """Yield the rejects file's rows in its order."""
    with (folder / REJECTS_FILE).open(encoding="utf-8") as file:
        for line in file:
            fields = json.loads(line)
            raw = base64.b64decode(fields["base64"]) if "base64" in fields else fields["text"].encode("utf-8")
            yield RejectedRow(
                fields["kind"],
                fields["object"],
                fields["row"],
                tuple(fields["reasons"]),
                raw,
                fields.get("provisional", False),
            )


def read_combined_manifest(combined_dir: Path) -> CombinedManifest | None:
    """Return the manifest of finished combined files; None when they are missing, unfinished or were edited since."""
    try:
        fields = json.loads((combined_dir / MANIFEST_FILE).read_text(encoding="utf-8"))
        objects = [KioskObject(**item) for item in fields.pop("kiosk_objects")]
        manifest = CombinedManifest(kiosk_objects=objects, **fields)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return manifest if manifest.outputs == output_stamps(combined_dir, manifest.kiosk_objects) else None


def write_combined_manifest(combined_dir: Path, manifest: CombinedManifest) -> None:
    """Declare the combined files finished."""
    manifest.outputs = output_stamps(combined_dir, manifest.kiosk_objects)
    write_whole(combined_dir / MANIFEST_FILE, json.dumps(asdict(manifest), indent=1))


def output_stamps(combined_dir: Path, objects: Iterable[KioskObject]) -> dict[str, list[int]]:
    """Return size and time of the files that belong together; a missing one is left out."""
    stamps = {}
    judged = (f"{JUDGED_DIR}/{name}" for item in objects for name in item.judged_files)
    for name in (EXHIBITION_FILE, KIOSK_FILE, REJECTS_FILE, *judged):
        try:
            found = (combined_dir / name).stat()
        except OSError:
            continue
        stamps[name] = [found.st_size, found.st_mtime_ns]
    return stamps
