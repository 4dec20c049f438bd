"""Writes an export as KeyConfigure does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook


def write_export(path: Path, rows: Sequence[Mapping[str, Any]], *, written: float | None = None) -> Path:
    """Write rows as a workbook's only sheet; `written` is the file's time."""
    book = Workbook()
    sheet = book.create_sheet(index=0)
    header = list(rows[0])
    sheet.append([name.replace(" ", "\n", 1) if name == "OS Install Date" else name for name in header])
    for row in rows:
        sheet.append([row[name] for name in header])
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    if written is not None:
        os.utime(path, (written, written))
    return path
