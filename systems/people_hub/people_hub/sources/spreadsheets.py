"""Exported spreadsheets: the newest file of a name in a folder, row by row as records.

Half-copied files, missing columns and a folder whose newest file has become older are errors, never an empty listing.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

from etlkit.errors import SourceError

LOCK_PREFIX = "~$"


def newest_file(folder: Path, pattern: str) -> Path:
    """Return the file of a pattern that was written last, leaving a spreadsheet program's lock files alone."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder that can be read. Correct HUB_DATA_FOLDER.")
    found = [path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith(LOCK_PREFIX)]
    if not found:
        raise SourceError(f"{folder} holds no file {pattern}. Export one, or correct HUB_DATA_FOLDER.")
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def require_newer(path: Path, watermark: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the watermark of a file; SourceError when it was written before the one that was read last."""
    written = path.stat().st_mtime_ns
    if watermark and written < int(watermark.get("written_ns", 0)):
        raise SourceError(
            f"{path} was written before {watermark.get('file')}, which was read last; reading it would turn time back. "
            "Export again, or run with --full-sync to read it all the same."
        )
    return {"file": path.name, "written_ns": written}


def read_rows(path: Path, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a workbook's first visible sheet, by its header.

    Raises SourceError unless it can be read whole and the columns are there, once each. An empty cell is null, a whole
    number an integer, a date ISO text; blank rows are left out.
    """
    try:
        book = CalamineWorkbook.from_path(path)
        shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
        rows = iter(book.get_sheet_by_name(shown[0]).iter_rows())
        header = [" ".join(str(cell).split()) for cell in next(rows, [])]
    except (CalamineError, zipfile.BadZipFile, OSError, IndexError) as error:
        raise SourceError(f"{path} cannot be read ({error}); it may still be on its way. Nothing was taken.") from error
    missing = [name for name in columns if name not in header]
    double = sorted({name for name in header if name and header.count(name) > 1})
    if missing or double:
        problems = [f"lacks the columns {', '.join(missing)}"] if missing else []
        problems += [f"has the column {', '.join(double)} twice"] if double else []
        raise SourceError(f"{path} {' and '.join(problems)}. Nothing was taken.")
    for row in rows:
        if any(cell != "" for cell in row):
            yield {name: _value(cell) for name, cell in zip(header, row, strict=False) if name}


def _value(cell: object) -> object:
    """Return a cell as JSON knows it."""
    if cell == "":
        return None
    if isinstance(cell, (datetime, date, time)):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell
