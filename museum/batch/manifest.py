"""The combined files and their manifest: what the transform hands to the load.

`combined_data/` holds the two combined CSV files, the rejected rows as JSON lines, `judged/` with the rows of every
kiosk file as they were judged (typed, in Parquet), and `manifest.json`, which is removed first and written last, so
that files of an unfinished transform are never taken for finished ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from museum.batch.bucket_files import write_whole

EXHIBITION_FILE = "combined_exhibition_data.csv"
KIOSK_FILE = "combined_museum_data.csv"
REJECTS_FILE = "rejected_rows.jsonl"
OUTPUTS = (EXHIBITION_FILE, KIOSK_FILE, REJECTS_FILE)
MANIFEST_FILE = "manifest.json"
JUDGED_DIR, SPILL_DIR = "judged", "spill"
EXHIBITION_COLUMNS = [
    "exhibition_name", "exhibition_code", "floor", "department", "start_date", "description", "object", "record",
]  # fmt: skip
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
        is_past = not self.last_at or datetime.fromisoformat(self.last_at) <= latest_at
        return is_past and "future_at" not in self.reasons


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
    has_combined_csv: bool = True

    def holds_at(self, latest_at: datetime) -> bool:
        """Tell whether the future check would say the same of every row if the files were made now."""
        return all(item.holds_at(latest_at) for item in self.kiosk_objects)

    @property
    def totals(self) -> dict[str, int]:
        """Return rows, size_bytes, and how many combined rows are out_of_hours and ambiguous, of all kiosk files."""
        names = ("rows", "size_bytes", "out_of_hours", "ambiguous")
        return {name: sum(getattr(item, name) for item in self.kiosk_objects) for name in names}

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
class CombinedFiles:
    """What a load reads: `folder` has the exhibitions and the rejected rows, `combined_dir` the judged rows.

    The two differ while the combined files of `combined_dir` are still those of an earlier transform.
    """

    combined_dir: Path
    folder: Path
    manifest: CombinedManifest

    @property
    def judged_dir(self) -> Path:
        """Return where the judged rows lie."""
        return self.combined_dir / JUDGED_DIR


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
    for name in (*OUTPUTS, *judged):
        with suppress(OSError):
            found = (combined_dir / name).stat()
            stamps[name] = [found.st_size, found.st_mtime_ns]
    return stamps
