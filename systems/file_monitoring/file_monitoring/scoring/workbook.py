"""A sheet of an Excel workbook as CSV: xlsx by openpyxl, streaming; xls by calamine.

One engine a format, since they read numbers and dates differently. A number is written as Excel shows it without a
format (1, not 1.0), a date as YYYY-MM-DD, a time with it where it is not midnight, a truth as true or false. Refused
before anything is opened: macros, passwords, what unpacks to more than the limits. Rows keep their numbers.
"""

from __future__ import annotations

import csv
import errno
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from file_monitoring.scoring.limits import LONGEST_CELL, MIB, Limits
from file_monitoring.scoring.plain_csv import OLE, Unreadable

MOST_PARTS = 5_000
MOST_ROWS = 1_048_576
"""As many as a sheet has; a row's own number may be any."""
SHEETS = re.compile(r"(?i)xl/worksheets/[^/]+\.xml")
LONGEST_ROW = 64 * MIB
"""Bytes of a row's XML, which is in memory at once."""
MOST_TAGS_BESIDE_CELLS = 2_000_000
"""Tags of a sheet that are no part of a cell; what a parser has seen of them stays in memory."""
MOST_XLS_CELLS = 2_000_000
"""Cells that the sheets of an xls span; calamine makes them all, empty or not."""
LARGEST_PART = 4 * MIB
"""What a part may become that is neither a sheet nor the texts' table: its tree is a hundred times as large."""
LONGEST_WHOLE = 1e21
"""Up to here a whole number is written with all its digits."""
MACHINE_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ENOMEM, errno.ESTALE,
}  # fmt: skip
"""What the machine refuses; any other error of the system comes of what an archive says, such as where a part is."""
SHEET_BEGINS = 0x0809
XLS_CELLS = {0x0006, 0x00BD, 0x00BE, 0x00D6, 0x00FD, 0x0201, 0x0203, 0x0204, 0x0205, 0x027E, 0x0406, 0x0206}
"""The records of an xls that are cells: formulas, numbers, texts, blanks, errors."""
XLS_RUNS = {0x00BD, 0x00BE}
"""Those of several cells of a row, which end with the last one's column."""
_ROW = re.compile(rb"<(?:\w{1,20}:)?row[ >/]")
_NUMBERED_ROW = re.compile(rb"<(?:\w{1,20}:)?row(?: [^<>]{0,300})? r=[\"']([0-9]{1,12})[\"']")
_CELL = re.compile(rb"<(?:\w{1,20}:)?c[ >/]")
_FORMULA = re.compile(rb"<(?:\w{1,20}:)?f[ >/]")
_WITHOUT_VALUE = re.compile(
    rb"<(?:\w{1,20}:)?f(?:\s[^<>]{0,500})?(?:/>|>[^<]{0,9000}</(?:\w{1,20}:)?f>)"
    rb"(?:<(?:\w{1,20}:)?v\s{0,9}/>|<(?:\w{1,20}:)?v></(?:\w{1,20}:)?v>)?</(?:\w{1,20}:)?c>"
)


@dataclass(frozen=True)
class WrittenSheet:
    """A sheet that was written as CSV."""

    path: Path
    kind: str
    sheet: str
    formulas_without_value: int = 0


def sheet_as_csv(path: Path, target: Path, wanted: int | str | None, limits: Limits) -> WrittenSheet:
    """Write one sheet of a workbook as CSV: the wanted one, else the first visible one. Raises Unreadable."""
    with path.open("rb") as file:
        is_ole = file.read(len(OLE)) == OLE
    return _from_xls(path, target, wanted, limits) if is_ole else _from_xlsx(path, target, wanted, limits)


def _from_xlsx(path: Path, target: Path, wanted: int | str | None, limits: Limits) -> WrittenSheet:
    """Write a sheet of an xlsx workbook."""
    import openpyxl  # noqa: PLC0415 - see above
    from openpyxl.xml import DEFUSEDXML, LXML  # noqa: PLC0415

    if not DEFUSEDXML or LXML:
        raise RuntimeError("openpyxl must read with defusedxml and without lxml")
    _refuse_bombs(path, limits)
    with _broken_workbooks(), path.open("rb") as file:  # by its content: by its name openpyxl would refuse it
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            names = [sheet.title for sheet in book.worksheets]
            visible = [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
            name = _chosen(names, visible, wanted)
            sheet = book[name]
            part = str(getattr(sheet, "_worksheet_path"))  # noqa: B009 - it has no public name, nor a type
            formulas = _formulas_without_value(path, part)
            _refuse_disorder(path, part)
            sheet.reset_dimensions()  # what a sheet says of its size may be wrong
            _write(sheet.iter_rows(values_only=True), target, limits)
        finally:
            book.close()
    return WrittenSheet(target, "xlsx", name, formulas)


def _refuse_bombs(path: Path, limits: Limits) -> None:
    """Raise Unreadable for an archive that is no workbook, has macros or a password, or unpacks to too much.

    A part never unpacks to more than its entry says, whatever it holds: zipfile stops there.
    """
    with _broken_workbooks(), zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if len(parts) > MOST_PARTS:
            raise Unreadable(f"the archive has {len(parts):,} parts, the limit is {MOST_PARTS:,}")
        names = {part.filename.lower() for part in parts}
        if any(part.flag_bits & 1 for part in parts):
            raise Unreadable("the archive is protected by a password")
        if "[content_types].xml" not in names:
            raise Unreadable("the content is a zip archive and no workbook")
        if any(name.endswith("vbaproject.bin") or name.startswith("xl/macrosheets/") for name in names):
            raise Unreadable("the workbook has macros")
        if any(name.endswith(".bin") and name.startswith("xl/workbook") for name in names):
            raise Unreadable("the workbook is an xlsb; save it as xlsx")
        total = sum(part.file_size for part in parts)
        if total > limits.unpacked_bytes:
            raise Unreadable(f"the workbook unpacks to {total:,} bytes, the limit is {limits.unpacked_bytes:,}")
        for part in parts:
            most = limits.part_bytes if part.filename.lower() == "xl/sharedstrings.xml" else LARGEST_PART
            if part.file_size > most and not SHEETS.fullmatch(part.filename):
                raise Unreadable(f"a part of the workbook unpacks to {part.file_size:,} bytes, the limit is {most:,}")


def _formulas_without_value(path: Path, part: str) -> int:
    """Count a sheet's formulas that nobody has computed; Unreadable for a sheet that would take memory without end."""
    found, tail, since_row, since_tag, rows, tags, cells = 0, b"", 0, 0, 0, 0, 0
    with zipfile.ZipFile(path) as archive, archive.open(part) as file:
        while block := file.read(MIB):
            row, tag = block.rfind(b"row>"), block.rfind(b"<")
            since_row = since_row + len(block) if row < 0 else len(block) - row
            since_tag = since_tag + len(block) if tag < 0 else len(block) - tag
            seen = tail + block
            if b"<!--" in seen:  # they could hide how long a row is
                raise Unreadable("the sheet has comments in its XML")
            if since_row > LONGEST_ROW or since_tag > 8 * LONGEST_CELL:
                raise Unreadable("a row or a cell of the sheet is too large")
            rows += len(_ROW.findall(block))
            tags += block.count(b"<")
            cells += len(_CELL.findall(block))
            # a cell has five tags and the ends of them at most: c, f, v, is, t
            if rows > MOST_ROWS or tags > 10 * cells + 2 * rows + MOST_TAGS_BESIDE_CELLS:
                raise Unreadable("the sheet has too many rows, or too much that is no cell")
            if _FORMULA.search(seen):
                matches = list(_WITHOUT_VALUE.finditer(seen))
                found += len(matches)
                tail = seen[max(matches[-1].end() if matches else 0, len(seen) - 10_000) :]
            else:
                tail = seen[-32:]
    return found


def _refuse_disorder(path: Path, part: str) -> None:
    """Raise Unreadable where rows of a sheet are out of order: openpyxl would leave them out without a word."""
    last, tail = 0, b""
    with zipfile.ZipFile(path) as archive, archive.open(part) as file:
        while block := file.read(MIB):
            seen = tail + block
            end = 0
            for found in _NUMBERED_ROW.finditer(seen):
                number, end = int(found[1]), found.end()
                if number <= last:
                    raise Unreadable("rows of the sheet stand there twice or out of order")
                last = number
            tail = seen[max(end, len(seen) - 500) :]


def _refuse_wide_xls(path: Path, name: str) -> None:
    """Raise Unreadable for an xls whose sheets span more cells than memory should hold, empty ones included."""
    import olefile  # noqa: PLC0415 - see above

    with _broken_workbooks(), olefile.OleFileIO(path) as container, container.openstream(name) as stream:
        data = stream.read()
        position, total, row, column = 0, 0, -1, -1
        while position + 4 <= len(data):
            kind, length = struct.unpack_from("<HH", data, position)
            body = data[position + 4 : position + 4 + length]
            position += 4 + length
            if kind == SHEET_BEGINS:
                total += (row + 1) * (column + 1)
                row, column = -1, -1
            elif kind in XLS_CELLS and len(body) >= 6:  # noqa: PLR2004 - row, column, format
                last = body[-2:] if kind in XLS_RUNS else body[2:4]
                row, column = max(row, *struct.unpack_from("<H", body)), max(column, *struct.unpack("<H", last))
        total += (row + 1) * (column + 1)  # from the first cell on, since rows keep their numbers
    if total > MOST_XLS_CELLS:
        raise Unreadable(f"the sheets span {total:,} cells, the limit is {MOST_XLS_CELLS:,}; save it as xlsx")


def _from_xls(path: Path, target: Path, wanted: int | str | None, limits: Limits) -> WrittenSheet:
    """Write a sheet of an xls workbook, whose format has 65,536 rows at most."""
    import olefile  # noqa: PLC0415 - see above
    import python_calamine  # noqa: PLC0415

    with _broken_workbooks(), olefile.OleFileIO(path) as container:
        streams = {"/".join(stream).lower() for stream in container.listdir(streams=True, storages=True)}
    if any("encryptedpackage" in stream for stream in streams):
        raise Unreadable("the workbook is protected by a password")
    if any("vba" in stream or "macros" in stream.split("/") for stream in streams):
        raise Unreadable("the workbook has macros")
    if not streams & {"workbook", "book"}:
        raise Unreadable("the content is an OLE container and no workbook")
    if path.stat().st_size > limits.part_bytes:
        raise Unreadable(
            f"the workbook has more than {limits.part_bytes:,} bytes and cannot be streamed; save it as xlsx"
        )
    _refuse_wide_xls(path, "Workbook" if "workbook" in streams else "Book")
    with _broken_workbooks(), path.open("rb") as file:
        book = python_calamine.CalamineWorkbook.from_filelike(file)
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet]
        visible = [sheet.name for sheet in sheets if sheet.visible == python_calamine.SheetVisibleEnum.Visible]
        name = _chosen([sheet.name for sheet in sheets], visible, wanted)
        _write(book.get_sheet_by_name(name).to_python(skip_empty_area=False), target, limits)
    return WrittenSheet(target, "xls", name)


@contextmanager
def _broken_workbooks() -> Iterator[None]:
    """Turn whatever a library raises over a broken workbook into Unreadable; what the machine refuses stays so."""
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except OSError as error:
        if error.errno in MACHINE_ERRORS:
            raise
        raise Unreadable(f"the workbook is broken: {type(error).__name__}") from error
    except Exception as error:  # there is no end to what a hostile workbook makes a parser raise
        word = (
            "is protected by a password" if "password" in str(error).lower() else f"is broken: {type(error).__name__}"
        )
        raise Unreadable(f"the workbook {word}") from error


def _chosen(names: Sequence[str], visible: Sequence[str], wanted: int | str | None) -> str:
    """Return the name of the sheet to read."""
    if isinstance(wanted, int):
        if wanted > len(names):
            raise Unreadable(f"the workbook has {len(names)} sheets, number {wanted} is wanted")
        return names[wanted - 1]
    if wanted is not None:
        if wanted not in names:
            raise Unreadable(f"the workbook has no sheet of the name that is wanted, {wanted!r}")
        return wanted
    if not visible:
        raise Unreadable("the workbook has no visible sheet")
    return visible[0]


def _write(rows: Iterable[Sequence[Any]], target: Path, limits: Limits) -> None:
    """Write rows as CSV, without empty cells beyond the header's; an empty row is a blank line."""
    width, written = 0, 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in enumerate(rows, 1):
            if number > MOST_ROWS:
                raise Unreadable(f"the sheet has more than {MOST_ROWS:,} rows")
            texts = [as_text(value) for value in row]
            while len(texts) > width and not texts[-1]:
                texts.pop()
            if any(texts):
                width = width or len(texts)
                written += writer.writerow(texts)
            else:
                written += file.write("\n")
            if written > limits.unpacked_bytes:
                raise Unreadable(f"the sheet has more than {limits.unpacked_bytes:,} characters")


def as_text(value: Any) -> str:
    """Return a cell's value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < LONGEST_WHOLE else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time(0) else value.isoformat(sep=" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value).replace("\0", "")
