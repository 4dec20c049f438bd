"""Reading kiosk files as bytes: what a file is, its header, and its physical lines.

A row is a physical line after the header; blank lines are no rows. A line ends at LF, CRLF or CR, quoted or not, so a
stray quote spoils one row and not the rest of the file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from museum.kiosk import KIOSK_COLUMNS, split_line

BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LATIN_1_MARK = BYTE_ORDER_MARK.decode("latin-1")
KEPT_BYTES = 65_536
"""How much of a wholly unreadable file is kept as its reject; the file itself stays where it is."""

NULL_MARK = b"\x1e"
_MASK = bytes(byte if byte < 128 and byte != NULL_MARK[0] else ord("?") for byte in range(256))  # noqa: PLR2004 - ASCII
_LINE_ENDS = re.compile(rb"[\r\n]+")
_LONG_LINES = re.compile(rb"[^\n]{1000,}")

FOREIGN_FORMS = {
    b"\x1f\x8b": "compressed (gzip)",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
"""How files begin that are not what their name says, and what to call them."""

FILE_REASONS = ("empty_file", "not_text", "bad_header", "overlong_line", "month_first")
_BLANK_BEGINNING = re.compile(rb"\A[ \t\r\n]*[\r\n]")
_SLASH_DATE = re.compile(rb"[\r\n,][ \t\"]*(\d{1,2})/(\d{1,2})/\d{4}(?!\d)")
LONGEST_SLASH_DATE = 32
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class KioskFile:
    """What one pass over a file's bytes tells."""

    path: Path
    sha256: str
    size_bytes: int
    mtime_ns: int
    is_plain: bool
    columns: tuple[str, ...]
    problem: str | None
    detail: str

    def is_as_inspected(self) -> bool:
        """Tell whether the file still has the size and time that it had."""
        found = self.path.stat()
        return (self.size_bytes, self.mtime_ns) == (found.st_size, found.st_mtime_ns)


def inspect_file(path: Path) -> KioskFile:
    """Hash a file and find out whether it is a kiosk file at all: text, with the right header and sane lines."""
    digest = hashlib.sha256()
    is_plain, longest_line, open_line = True, 0, 0
    first, ends_line = b"", False
    line_ends: set[bool] = set()
    dates = SlashDates()
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        while block := file.read(BLOCK_BYTES):
            text = block if first else block.removeprefix(BYTE_ORDER_MARK)
            begins_blank = (ends_line and text[:1] in (b"\r", b"\n")) if first else _BLANK_BEGINNING.match(text)
            is_plain = is_plain and not begins_blank and _is_plain(text)
            first = first or block
            digest.update(block)
            dates.look_at(block)
            ends_line = text.endswith(b"\n")
            if b"\n" in text:
                line_ends.add(b"\r" in text)
            line_end = _LINE_ENDS.search(block)
            open_line += line_end.start() if line_end else len(block)
            longest_line = max(longest_line, open_line)
            if line_end:
                open_line = len(block) - 1 - max(block.rfind(b"\n"), block.rfind(b"\r"))
    columns, problem, detail = _judge_header(first)
    if problem is None and longest_line > BLOCK_BYTES:
        problem, detail = "overlong_line", "a line is longer than 1 MiB"
    if problem is None and dates.proof and not dates.has_day_first:
        problem = "month_first"
        detail = f"its dates have the month first, as {dates.proof} shows; save it as DD/MM/YYYY"
    is_plain = is_plain and len(line_ends) <= 1
    return KioskFile(path, digest.hexdigest(), found.st_size, found.st_mtime_ns, is_plain, columns, problem, detail)


def iterate_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (row number from 1, the line's bytes without its end) of every row after the header."""
    with path.open(encoding="latin-1", newline=None) as file:
        next((line for line in file if line.removeprefix(LATIN_1_MARK).strip(" \t\n")), None)  # the header
        rows = (line.rstrip("\n").encode("latin-1") for line in file if line != "\n")
        yield from enumerate(rows, 1)


def read_rows(file: KioskFile, numbers: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (row number, the line's bytes without its end) of rows whose numbers ascend, up to one that is missing."""
    # each line of a plain file is a row and its header is line 0, so those between are skipped at the speed of C
    lines = file.path.open("rb") if file.is_plain else (raw for _, raw in iterate_rows(file.path))
    at = -1 if file.is_plain else 0
    with closing(lines):
        for wanted in numbers:
            line = next(islice(lines, wanted - at - 1, None), None)
            if line is None:
                return
            at = wanted
            yield wanted, line.rstrip(b"\r\n")


def write_plain_copy(path: Path, copy_path: Path) -> None:
    """Copy a file with question marks for unusual bytes and single line feeds for line ends; rows keep their numbers.

    DuckDB refuses some files with such bytes or with many blank lines, and has no room for many long ones, which are
    shortened; in the copy a row is at worst not understood.
    """
    with path.open("rb") as file, copy_path.open("wb") as copy:
        begin = file.read(BLOCK_BYTES)
        file.seek(len(begin) - len(_BLANK_BEGINNING.sub(b"", begin.removeprefix(BYTE_ORDER_MARK))))
        while block := file.read(BLOCK_BYTES):
            copy.write(_LONG_LINES.sub(b"?", _LINE_ENDS.sub(b"\n", block.translate(_MASK))))


def _is_plain(text: bytes) -> bool:
    """Tell whether a block is ASCII with one kind of line end, without blank lines and without DuckDB's null mark."""
    if not text.isascii() or NULL_MARK in text:
        return False
    if b"\r" in text:
        return text.count(b"\r") == text.count(b"\n") == text.count(b"\r\n") and b"\n\r" not in text
    return b"\n\n" not in text


class SlashDates:
    """What a file's slash dates prove, over its blocks: 03/13 can only be March, 13/03 as well."""

    def __init__(self) -> None:
        self.proof = ""  # the first with a day in second place
        self.has_day_first = False
        self._end = b"\n"

    def look_at(self, block: bytes) -> None:
        """Take the next block into account, a date across the border too."""
        if (b"/" in block or b"/" in self._end) and not self.has_day_first:
            for found in _SLASH_DATE.finditer(self._end + block):
                first, second = int(found[1]), int(found[2])
                if first > MONTHS_A_YEAR:
                    self.has_day_first = True
                    break
                if second > MONTHS_A_YEAR and not self.proof:
                    self.proof = found[0].strip(b'\r\n, \t"').decode()
        self._end = block[-LONGEST_SLASH_DATE:]


def foreign_form(first: bytes) -> str | None:
    """Return what a file is instead of UTF-8 text, where its beginning tells."""
    return next((form for begin, form in FOREIGN_FORMS.items() if first.startswith(begin)), None)


def _judge_header(first: bytes) -> tuple[tuple[str, ...], str | None, str]:
    """Return the columns, or why the file's beginning is not a kiosk file's."""
    if not first.strip():
        return (), "empty_file", "the file is empty"
    if form := foreign_form(first):
        return (), "not_text", f"it is {form}; store it as UTF-8 text"
    line = _BLANK_BEGINNING.sub(b"", first.removeprefix(BYTE_ORDER_MARK)).split(b"\n", 1)[0].split(b"\r", 1)[0]
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return (), "not_text", "the first line is not UTF-8 text"
    if "\x00" in text:
        return (), "not_text", "the first line has NUL bytes"
    columns = tuple(name.lower() for name in split_line(text) or [])
    if sorted(columns) != sorted(KIOSK_COLUMNS):
        found = ", ".join(columns)[:200] or "unreadable"
        advice = "; save it separated by commas" if ";" in text or "\t" in text else ""
        return (), "bad_header", f"columns are {found}; expected {', '.join(KIOSK_COLUMNS)}{advice}"
    return columns, None, ""
