"""Raw pages as gzip JSONL, one file a list and day: what a load reads, and what `replay` loads again.

In come the pages of a list, out goes a file in `<raw dir>/<day>/`: a first line that says whose pages these are, then
each page's results on a line. It has its extraction's own name until a load took it; then it becomes `<list>.jsonl.gz`,
which is what `replay` loads. So an extraction that is refused replaces nothing, and one that was cut short is refused.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from binge_works.popular_lists import PopularList
from binge_works.tmdb import Page
from etlkit.errors import DataError, SourceError

_DAY_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class RawPages:
    """One extraction of a list: the day that it stands for, its id, its file, and how much it holds."""

    list_name: str
    as_of: date
    extraction_id: UUID
    path: Path
    pages: int
    results: int

    @property
    def kept_path(self) -> Path:
        """Return where the file lies once a load took it."""
        return self.path.with_name(f"{self.list_name}.jsonl.gz")

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield every item with its place in the list, page by page; DataError for a file that is not whole."""
        found = 0
        lines = _lines(self.path)
        if _head(next(lines, None))[2] != self.extraction_id:
            raise DataError(f"{self.path} holds another extraction by now. Nothing was loaded; run again.")
        for number, results in enumerate(lines, start=1):
            for row, item in enumerate(_results(results), start=1):
                yield f"page {number} row {row}", item
            found += len(results)
        if found != self.results:
            raise DataError(f"{self.path} holds {found:,} items, {self.results:,} were promised. Nothing was loaded.")


def save_pages(raw_dir: Path, popular: PopularList, as_of: date, pages: Iterable[Page]) -> RawPages:
    """Write the pages of a list as they come; return what was written. Whatever fails leaves no file behind."""
    extraction_id = uuid4()
    path = raw_dir / str(as_of) / f"{popular.name}.{extraction_id}.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    written, results = 0, 0
    try:
        with gzip.open(beside, "wb", compresslevel=6) as file:
            first = {
                "list": popular.name,
                "as_of": as_of.isoformat(),
                "extraction_id": str(extraction_id),
                "extracted_at": datetime.now(UTC).isoformat(),
            }
            file.write(_line(first))
            for page in pages:
                file.write(_line(page.results))
                written += 1
                results += len(page.results)
        beside.replace(path)
    except RecursionError:
        raise SourceError(f"a page of {popular.name} is nested too deeply. Nothing was loaded.") from None
    finally:
        beside.unlink(missing_ok=True)
    return RawPages(popular.name, as_of, extraction_id, path, written, results)


def keep_pages(raw: RawPages) -> None:
    """Let an extraction that was loaded be what a replay of its day finds; one that lies there already stays."""
    if raw.path != raw.kept_path and raw.path.exists():
        raw.path.replace(raw.kept_path)


def find_pages(path: Path, popular: PopularList) -> RawPages:
    """Return the raw pages of an extraction's own file, or what they became when they were loaded."""
    return read_file(path if path.exists() else path.with_name(f"{popular.name}.jsonl.gz"), popular)


def open_pages(raw_dir: Path, popular: PopularList, as_of: date) -> RawPages:
    """Return what was extracted of a list for a day; SourceError where there is nothing, or not the whole."""
    path = path_of(raw_dir, popular, as_of)
    if not path.exists():
        kept = sorted(
            folder.name for folder in _day_folders(raw_dir) if path_of(raw_dir, popular, folder.name).exists()
        )
        told = f"kept are {kept[0]} to {kept[-1]} ({len(kept)} days)" if kept else "none are kept"
        raise SourceError(
            f"no raw pages of {popular.name} for {as_of}: {path} is not there; {told}.",
            "TMDB itself has no past. Nothing was loaded.",
        )
    raw = read_file(path, popular)
    if raw.as_of != as_of:
        raise SourceError(f"{path} holds the list of {raw.as_of}, not of {as_of}. Nothing was loaded.")
    return raw


def read_file(path: Path, popular: PopularList) -> RawPages:
    """Return what a file of raw pages holds; SourceError for one that is not whole or of another list."""
    lines = _lines(path)
    pages = results = 0
    try:
        name, as_of, extraction_id = _head(next(lines, None))
        for line in lines:
            pages += 1
            results += len(_results(line))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SourceError(f"{path} is no file of raw pages. Nothing was loaded.") from None
    if name != popular.name:
        raise SourceError(f"{path} holds {name}, not {popular.name}. Nothing was loaded.")
    return RawPages(name, as_of, extraction_id, path, pages, results)


def path_of(raw_dir: Path, popular: PopularList, as_of: date | str) -> Path:
    """Return where a list's raw pages of a day lie."""
    return raw_dir / str(as_of) / f"{popular.name}.jsonl.gz"


def prune_pages(raw_dir: Path, as_of: date, days: int) -> list[str]:
    """Remove the raw pages that are older than so many days before a day; return which days."""
    first_kept = (as_of - timedelta(days=min(days, (as_of - date.min).days))).isoformat()
    old = sorted(folder for folder in _day_folders(raw_dir) if folder.name < first_kept)
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)  # another run may be at it; what stays is tried again
    return [folder.name for folder in old if not folder.exists()]


def _head(first: Any) -> tuple[str, date, UUID]:
    """Read a file's first line: the list, its day and the extraction."""
    return first["list"], date.fromisoformat(first["as_of"]), UUID(first["extraction_id"])


def _results(line: Any) -> list[Any]:
    """Return a page's results; TypeError for what is none."""
    if not isinstance(line, list):
        raise TypeError(line)
    return line


def _day_folders(raw_dir: Path) -> list[Path]:
    """Return the folders of days."""
    if not raw_dir.is_dir():
        return []
    return [path for path in raw_dir.iterdir() if _DAY_FOLDER.fullmatch(path.name) and path.is_dir()]


def _line(document: Any) -> bytes:
    """Return a document as a line; in ASCII, which any text of JSON goes through unharmed."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _lines(path: Path) -> Iterator[Any]:
    """Yield the documents of a file, one a line."""
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                yield json.loads(line)
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise SourceError(f"{path} is not whole ({text}). Nothing was loaded.", "Run the day anew.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}. Nothing was loaded.") from error
