"""Work files: in come the bytes that a source sent, out goes UTF-8 text that both engines read alike.

One record a line, lines end in a line feed, no header, nothing quoted. What a line could not hold stands for itself
by a character that Unicode keeps for a program's own use, and is put back when the cell is typed. A file without such
characters, which is nearly every one, is copied block by block; only what is not ASCII is decoded. The lines' numbers
are those of the source's records, so that a bad one can be found again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from etlkit.errors import DataError

BLOCK = 1 << 20
LONGEST_RECORD = 1 << 20
NUL, LINE_FEED, CARRIAGE_RETURN, DELIMITER = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
UNDECODABLE = "\ufffd"
MARKS = (NUL, LINE_FEED, CARRIAGE_RETURN, DELIMITER)
_MARKS_BYTES = tuple(mark.encode() for mark in (*MARKS, UNDECODABLE))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SHOWN = 200


@dataclass(frozen=True)
class Form:
    """How a source writes its files."""

    encoding: str
    delimiter: str
    quote: str


@dataclass
class WorkFile:
    """A source file as the engines read it."""

    path: Path
    source: str
    """The name of the file that it was made of."""
    header: tuple[str, ...]
    delimiter: str
    lines: int = 0
    """How many lines it has, blank ones too."""
    has_marks: bool = False
    """Whether any of the characters that stand for others occurs."""
    is_quoted: bool = False
    """Whether anything was quoted, so that a line is not what the source wrote."""
    locations: dict[str, str] = field(default_factory=dict)


def write_work_file(source: Path, name: str, form: Form, path: Path) -> WorkFile:
    """Write the work file of a source file; DataError for one that is empty or is no text of this form."""
    with source.open("rb") as raw, path.open("wb") as out:
        transcoder = _Transcoder(raw, name, form, out)
        header = transcoder.read_header()
        work = WorkFile(path, name, header, form.delimiter)
        transcoder.copy(work)
    return work


def write_records(records: Iterable[dict[str, object]], name: str, path: Path) -> WorkFile:
    """Write the work file of an API's records; the header has the keys of all of them in the order of their coming."""
    kept = list(records)
    header = tuple(dict.fromkeys(key for record in kept for key in record))
    work = WorkFile(path, name, header, "\x1f")
    with path.open("wb") as out:
        for record in kept:
            cells = ["" if (value := record.get(key)) is None else str(value) for key in header]
            line = _joined(cells, work.delimiter)
            work.has_marks = work.has_marks or _has_marks(line)
            out.write(line + b"\n")
            work.lines += 1
    return work


def find_lines(work: WorkFile, wanted: frozenset[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers, from 1, and texts of lines that are wanted, or that have too few or too many fields."""
    delimiter, fields = work.delimiter.encode(), len(work.header)
    blank = b"\n\r\t " + delimiter
    with work.path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.rstrip(b"\n")
            if text in wanted or (text.count(delimiter) != fields - 1 and text.strip(blank)):
                yield number, text


def count_blank(work: WorkFile) -> int:
    """Count the lines that say nothing."""
    blank = b"\n\r\t " + work.delimiter.encode()
    with work.path.open("rb") as lines:
        return sum(1 for line in lines if not line.strip(blank))


def original_records(source: Path, form: Form, numbers: Sequence[int]) -> dict[int, str]:
    """Return some records of a quoted file as the source wrote them, by their numbers from 1."""
    wanted, found = {*numbers}, {}
    seen: list[str] = []
    with source.open("r", encoding=form.encoding, errors="replace", newline="") as file:

        def noted() -> Iterator[str]:
            for line in _lines(file):
                seen.append(line)
                yield line

        for number, _ in enumerate(csv.reader(noted(), delimiter=form.delimiter, quotechar=form.quote)):
            if number in wanted:
                found[number] = "".join(seen).rstrip("\r\n")
            seen.clear()
            if len(found) == len(wanted):
                break
    return found


def shown(line: bytes) -> str:
    """Return a work file's line as a person reads it: the marks as what they stand for, the zero byte as its symbol."""
    text = line.decode("utf-8", errors="replace")
    return text.replace(NUL, "\u2400").replace(LINE_FEED, "\n").replace(CARRIAGE_RETURN, "\r")


class _Transcoder:
    """Brings one source file into a work file, from its first byte to its last."""

    def __init__(self, raw: BinaryIO, name: str, form: Form, out: BinaryIO) -> None:
        self._raw = raw
        self._name = name
        self._form = form
        self._out = out
        self._delimiter = form.delimiter.encode()
        self._quote = form.quote.encode()
        self._rest = b""
        self._is_utf8 = form.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")

    def read_header(self) -> tuple[str, ...]:
        """Return the names in the first line."""
        first = self._raw.read(BLOCK)
        if self._is_utf8:
            first = first.removeprefix(_BYTE_ORDER_MARK)
        if not first.strip():
            raise DataError(f"{self._name} is empty.", "Nothing was published.")
        if b"\n" not in first and b"\r" in first:
            raise DataError(f"{self._name} ends its lines with a carriage return alone.", "Recode it.")
        line, _, self._rest = first.partition(b"\n")
        text = line.decode(self._form.encoding, errors="replace").rstrip("\r")
        if self._form.quote:
            cells = next(csv.reader([text], delimiter=self._form.delimiter, quotechar=self._form.quote), [])
        else:
            cells = text.split(self._form.delimiter)
        return tuple(cell.strip() for cell in cells)

    def copy(self, work: WorkFile) -> None:
        """Write all lines after the first one."""
        blocks = self._blocks()
        for block in blocks:
            if self._quote and self._quote in block:
                work.is_quoted = True
                self._copy_quoted(block, blocks, work)
                return
            if block.isascii() and b"\0" not in block:
                text = block
            else:
                text = block.decode(self._form.encoding, errors="replace").replace("\0", NUL).encode()
                work.has_marks = work.has_marks or _has_marks(text)
            if b"\r" in text:
                text = text.replace(b"\r\n", b"\n")
                if b"\r" in text:
                    text = text.replace(b"\r", CARRIAGE_RETURN.encode())
                    work.has_marks = True
            work.lines += text.count(b"\n")
            self._out.write(text)

    def _copy_quoted(self, first: bytes, others: Iterator[bytes], work: WorkFile) -> None:
        """Write all records from a block on, read as quoted text."""
        blocks = io.TextIOWrapper(
            io.BufferedReader(_Chained(first, others)), self._form.encoding, errors="replace", newline=""
        )
        csv.field_size_limit(LONGEST_RECORD)
        reader = csv.reader(_lines(blocks, nul=NUL), delimiter=self._form.delimiter, quotechar=self._form.quote)
        start = work.lines
        try:
            for cells in reader:
                line = _joined(cells, self._form.delimiter)
                work.has_marks = work.has_marks or _has_marks(line)
                self._out.write(line + b"\n")
                work.lines += 1
        except csv.Error as error:
            raise DataError(
                f"{self._name}: a quote that is opened in record {work.lines + 1} or after it is not closed within "
                f"{LONGEST_RECORD:,} characters ({error}; the quoted part begins at record {start + 1}).",
                "Nothing was published.",
            ) from error

    def _blocks(self) -> Iterator[bytes]:
        """Yield what is left in whole lines; the last one gets its line break."""
        rest = self._rest
        while True:
            block = self._raw.read(BLOCK)
            if not block:
                break
            whole, separator, after = block.rpartition(b"\n")
            if not separator:
                rest += block
                if len(rest) > LONGEST_RECORD + BLOCK:
                    raise DataError(f"{self._name} has a line longer than {LONGEST_RECORD:,} bytes.", "It is no table.")
                continue
            yield rest + whole + separator
            rest = after
        if rest:
            yield rest if rest.endswith(b"\n") else rest + b"\n"


class _Chained(io.RawIOBase):
    """Blocks as a stream to read from."""

    def __init__(self, first: bytes, others: Iterator[bytes]) -> None:
        self._ready = first
        self._others = others

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer."""
        if not self._ready:
            self._ready = next(self._others, b"")
        taken = self._ready[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        return len(taken)


def _lines(file: Iterable[str], nul: str = "") -> Iterator[str]:
    """Yield a file's lines without zero bytes, which csv does not take."""
    for line in file:
        yield line.replace("\0", nul) if "\0" in line else line


def _joined(cells: Sequence[str], delimiter: str) -> bytes:
    """Return a record as a line of a work file."""
    line = delimiter.join(cells)
    if line.count(delimiter) == len(cells) - 1 and "\n" not in line and "\r" not in line and "\0" not in line:
        return line.encode()
    marked = (
        cell.replace("\0", NUL).replace("\n", LINE_FEED).replace("\r", CARRIAGE_RETURN).replace(delimiter, DELIMITER)
        for cell in cells
    )
    return delimiter.join(marked).encode()


def _has_marks(text: bytes) -> bool:
    """Tell whether any character stands for another one."""
    return any(mark in text for mark in _MARKS_BYTES)
