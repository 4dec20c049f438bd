"""Raw pages as gzip JSONL, one file a list and day: what a load reads, and what `replay` loads again.

In come the pages of a list, out goes `<raw dir>/<day>/<list>.jsonl.gz`: a first line that says whose pages these are,
then each page's results on a line. The file takes its name when it is whole, so another extraction of the day replaces
it as a whole, and one that was cut short is refused.
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

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield every item with its place in the list, page by page; DataError for a file that is not whole."""
        found = 0
        for number, results in enumerate(_lines(self.path), start=0):
            if number == 0:
                continue
            for row, item in enumerate(results, start=1):
                yield f"page {number} row {row}", item
            found += len(results)
        if found != self.results:
            raise DataError(f"{self.path} holds {found:,} items, {self.results:,} were promised. Nothing was loaded.")


def save_pages(raw_dir: Path, popular: PopularList, as_of: date, pages: Iterable[Page]) -> RawPages:
    """Write the pages of a list as they come; return what was written. Whatever fails leaves no file behind."""
    path = path_of(raw_dir, popular, as_of)
    path.parent.mkdir(parents=True, exist_ok=True)
    extraction_id = uuid4()
    beside = path.with_name(f".{path.name}.{extraction_id}")
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
    finally:
        beside.unlink(missing_ok=True)
    return RawPages(popular.name, as_of, extraction_id, path, written, results)


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
    return read_file(path, popular)


def read_file(path: Path, popular: PopularList) -> RawPages:
    """Return what a file of raw pages holds; SourceError for one that is not whole or of another list."""
    lines = _lines(path)
    first = next(lines, None)
    pages = results = 0
    for line in lines:
        pages += 1
        results += len(line)
    try:
        name, as_of = first["list"], date.fromisoformat(first["as_of"])  # type: ignore[index]
        extraction_id = UUID(first["extraction_id"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
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
        shutil.rmtree(folder)
    return [folder.name for folder in old]


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
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        text = " ".join(str(error).split())
        raise SourceError(f"{path} is not whole ({text}). Nothing was loaded.", "Run the day anew.") from error
