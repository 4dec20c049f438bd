"""Work files: in come the bytes that a source sent, out goes UTF-8 text that both engines read alike.

One record a line, lines end in a line feed, no header, nothing quoted. What a line could not hold stands for itself
by a character that Unicode keeps for a program's own use, and is put back when the cell is typed. A file without such
characters, which is nearly every one, is copied block by block; only what is not ASCII is decoded. The lines' numbers
are those of the source's records, so that a bad one can be found again.
"""

from __future__ import annotations

import csv
import io
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from etlkit.errors import DataError

BLOCK = 1 << 16
"""Small enough that most are plain ASCII and stay in the processor's cache."""
LONGEST_RECORD = 1 << 20
LONGEST_LINE = 4 * LONGEST_RECORD
"""Of a work file: a byte of a source becomes at most three."""
NUL, LINE_FEED, CARRIAGE_RETURN, DELIMITER = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
BYTE_ORDER_MARK = "\ufdd5"
"""Stands for one that begins the file, where DuckDB would take it away."""
NOTHING = "\ufdd4"
"""Stands in the last field of a line with too many, where that one is empty: DuckDB would not see such fields."""
UNDECODABLE = "\ufffd"
END_OF_LINE = ""
"""What the column behind the last delimiter is called, where a delimiter ends each line."""
BLANKS = (" ", "\t", "\v", "\f")
"""What is cut off around a cell, but for line breaks, which a work file does not have."""
MARKS = (NUL, LINE_FEED, CARRIAGE_RETURN, DELIMITER, BYTE_ORDER_MARK)
_MARKS_BYTES = tuple(mark.encode() for mark in (*MARKS, UNDECODABLE))
_MARKS_BEGIN = b"\xef"
_OWN_MARKS = re.compile(f"[{NUL}-{BYTE_ORDER_MARK}]")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_CONTROLS = bytes(range(33))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Form:
    """How a source writes its files."""

    encoding: str
    delimiter: str
    quote: str
    columns: tuple[str, ...] = ()
    """Of files without a header; a delimiter ends each of their lines, so that nothing stands in a last column."""


@dataclass(frozen=True)
class Part:
    """A source file within a work file."""

    source: str
    path: Path
    first_line: int
    is_quoted: bool
    """Whether anything was quoted, so that a line is not what the source wrote."""


@dataclass
class WorkFile:
    """The files of a source that have one header, as the engines read them."""

    path: Path
    header: tuple[str, ...]
    delimiter: str
    is_of_several: bool = False
    """Whether each line ends with one field more, the name of the source file that it comes from."""
    parts: list[Part] = field(default_factory=list)
    lines: int = 0
    """How many lines it has, blank ones too."""
    has_marks: bool = False
    """Whether any of the characters that stand for others occurs."""

    @property
    def names(self) -> list[str]:
        """Return what its columns are called; by place, as the engines ignore case."""
        return [f"c{number}" for number in range(len(self.header) + self.is_of_several)]

    @property
    def told(self) -> str:
        """Return its source for a message."""
        return self.parts[0].source if len(self.parts) == 1 else f"{len(self.parts):,} files"

    def part_of(self, line: int) -> Part:
        """Return the source file of a line."""
        return self.parts[bisect_right(self.parts, line, key=lambda part: part.first_line) - 1]

    def without_source(self, line: bytes) -> bytes:
        """Return a line as its source file has it."""
        return line.rpartition(self.delimiter.encode())[0] if self.is_of_several else line


def read_header(source: Path, name: str, form: Form) -> tuple[str, ...]:
    """Return the names in a file's first line; DataError for one that is empty or is no text of this form."""
    with source.open("rb") as raw:
        return _Transcoder(raw, name, form).read_header()


def add_file(work: WorkFile, source: Path, name: str, form: Form) -> None:
    """Write what a source file holds to the end of a work file; DataError for one that is no text of this form."""
    if work.is_of_several and (not name.isprintable() or work.delimiter in name):
        raise DataError(f"{name!r} is a name that no table can hold.", "Rename the file.")
    first_line = work.lines + 1
    delimiter = work.delimiter.encode()
    with source.open("rb") as raw, work.path.open("ab") as out:
        transcoder = _Transcoder(raw, name, form)
        transcoder.read_header()
        ending = delimiter + name.encode() + b"\n" if work.is_of_several else b"\n"
        for block in transcoder.blocks():
            lines = [line if line[:1] > b" " else _without_controls(line) for line in block]
            if not work.lines and lines[0].startswith(_BYTE_ORDER_MARK):
                lines[0] = _marked_begin(lines[0])
                work.has_marks = True
            work.lines += len(lines)
            text = ending.join(lines) + ending
            if not work.is_of_several and delimiter + b"\n" in text:
                text = b"\n".join(_with_all_fields(lines, delimiter, len(work.header))) + b"\n"
            out.write(text)
    work.has_marks = work.has_marks or transcoder.has_marks
    work.parts.append(Part(name, source, first_line, transcoder.is_quoted))


def write_records(records: Sequence[Mapping[str, object]], name: str, source: Path, path: Path) -> WorkFile:
    """Write the work file of an API's records; the header has the keys of all of them in the order of their coming."""
    header = tuple(dict.fromkeys(key for record in records for key in record))
    work = WorkFile(path, header, "\x1f", parts=[Part(name, source, 1, is_quoted=False)], lines=len(records))
    with path.open("wb") as out:
        for record in records:
            cells = [_without_marks(_text_of(record.get(key))) for key in header]
            line = _without_controls(_joined(cells, work.delimiter, name))
            if record is records[0]:
                line = _marked_begin(line)
            work.has_marks = work.has_marks or _has_marks(line)
            out.write(line + b"\n")
    return work


def _text_of(value: object) -> str:
    """Return a value of JSON as a cell: a text as it is, what is no single value as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def find_lines(work: WorkFile, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Yield numbers, from 1, and texts of lines: whose hash is wanted, blank ones, those of too few or many fields."""
    delimiter, between = work.delimiter.encode(), len(work.names) - 1
    may_begin_blank = (*(blank.encode() for blank in BLANKS), delimiter)
    with work.path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line[:-1]
            may_be_blank = not text or text.startswith(may_begin_blank)
            is_wanted = wanted and hash(text) in wanted
            if is_wanted or text.count(delimiter) != between or (may_be_blank and is_blank(work, text)):
                yield number, text


def is_blank(work: WorkFile, line: bytes) -> bool:
    """Tell whether a line has no more than blanks and delimiters."""
    return (
        not work.without_source(line).removesuffix(NOTHING.encode()).strip("".join((*BLANKS, work.delimiter)).encode())
    )


def original_records(source: Path, form: Form, numbers: Sequence[int]) -> Iterator[str]:
    """Yield some records of a quoted file as the source wrote them, by their rising numbers from 1."""
    wanted = iter(numbers)
    next_one = next(wanted, None)
    if next_one is None:
        return
    seen: list[str] = []
    with source.open("r", encoding=form.encoding, errors="replace", newline="\n") as file:

        def noted() -> Iterator[str]:
            for line in file:
                seen.append(line.replace("\0", ""))
                yield from _lines([line])

        for number, _ in enumerate(csv.reader(noted(), delimiter=form.delimiter, quotechar=form.quote)):
            if next_one is None:
                return
            if number == next_one:
                yield "".join(seen).rstrip("\r\n")
                next_one = next(wanted, None)
            seen.clear()


def shown(line: bytes) -> str:
    """Return a work file's line as a person reads it: the marks as what they stand for, the zero byte as its symbol."""
    text = line.decode("utf-8", errors="replace").removesuffix(NOTHING)
    return (
        text.replace(NUL, "\u2400")
        .replace(LINE_FEED, "\n")
        .replace(CARRIAGE_RETURN, "\r")
        .replace(BYTE_ORDER_MARK, "\ufeff")
    )


class _Transcoder:
    """Brings one source file into a work file, from its first byte to its last."""

    def __init__(self, raw: io.BufferedReader, name: str, form: Form) -> None:
        self._raw = raw
        self._name = name
        self._form = form
        self._quote = form.quote.encode()
        self._is_utf8 = form.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
        self.has_marks = False
        self.is_quoted = False

    def read_header(self) -> tuple[str, ...]:
        """Return the names in the first line; of a file without a header those that it is known to have."""
        if self._form.columns:
            if not self._raw.peek(1):
                raise DataError(f"{self._name} is empty.", "Nothing was published.")
            if self._is_utf8 and self._raw.peek(len(_BYTE_ORDER_MARK)).startswith(_BYTE_ORDER_MARK):
                self._raw.read(len(_BYTE_ORDER_MARK))
            return (*self._form.columns, END_OF_LINE)
        line = self._raw.readline(LONGEST_RECORD)
        if self._is_utf8:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line.strip():
            raise DataError(f"{self._name} is empty, or its first line is.", "Nothing was published.")
        text = line.decode(self._form.encoding, errors="replace").rstrip("\r\n")
        if "\r" in text:
            raise DataError(f"{self._name} ends its lines with a carriage return alone.", "Recode it.")
        if self._form.quote:
            try:
                cells = next(
                    csv.reader([text], delimiter=self._form.delimiter, quotechar=self._form.quote, strict=True), []
                )
            except csv.Error as error:
                raise DataError(f"{self._name}: the quotes of its header do not fit: {error}.") from error
        else:
            cells = text.split(self._form.delimiter)
        return tuple(cell.strip() for cell in cells)

    def blocks(self) -> Iterator[list[bytes]]:
        """Yield all lines after the first one, in blocks."""
        blocks = self._read_blocks()
        done = 0
        for block in blocks:
            if self._quote and self._quote in block:
                self.is_quoted = True
                yield from ([line] for line in self._quoted(block, blocks, done))
                return
            lines = self._plain(block)
            done += len(lines)
            yield lines

    def _plain(self, block: bytes) -> list[bytes]:
        """Return the lines of a block in which nothing is quoted."""
        lines = block.splitlines()
        has_return = len(lines) != block.count(b"\n")
        if has_return:
            lines = block.replace(b"\r\n", b"\n").split(b"\n")[:-1]
        if has_return or not block.isascii() or b"\0" in block:
            return [
                line if line.isascii() and b"\r" not in line and b"\0" not in line else self._recoded(line)
                for line in lines
            ]
        return lines

    def _recoded(self, line: bytes) -> bytes:
        """Return a line as UTF-8."""
        text = _without_marks(line.decode(self._form.encoding, errors="replace"))
        recoded = text.replace("\0", NUL).replace("\r", CARRIAGE_RETURN).encode()
        self.has_marks = self.has_marks or _has_marks(recoded)
        return recoded

    def _quoted(self, first: bytes, others: Iterator[bytes], done: int) -> Iterator[bytes]:
        """Yield all records from a block on, read as quoted text."""
        chained = io.BufferedReader(_Chained(first, others))
        text = io.TextIOWrapper(chained, self._form.encoding, errors="replace", newline="\n")
        csv.field_size_limit(LONGEST_RECORD)
        reader = csv.reader(_lines(text), delimiter=self._form.delimiter, quotechar=self._form.quote, strict=True)
        try:
            for cells in reader:
                done += 1
                line = _joined(cells, self._form.delimiter, f"{self._name}, record {done}")
                self.has_marks = self.has_marks or _has_marks(line)
                yield line
        except csv.Error as error:
            raise DataError(
                f"{self._name}: the quotes of record {done + 1} do not fit: {error}.",
                "A cell that begins with a quote must end with one. Nothing was published.",
            ) from error

    def _read_blocks(self) -> Iterator[bytes]:
        """Yield what is left in whole lines; the last one gets its line break."""
        while block := self._raw.read(BLOCK):
            block += self._raw.readline(LONGEST_RECORD)
            if not block.endswith(b"\n"):
                if self._raw.peek(1):
                    raise DataError(f"{self._name} has a line longer than {LONGEST_RECORD:,} bytes.", "It is no table.")
                block += b"\n"
            yield block


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


def _without_controls(line: bytes) -> bytes:
    """Return a line; an empty one for one of control characters, such as DOS's end mark, which Spark does not see."""
    return line if line.strip(_CONTROLS) else b""


def _marked_begin(line: bytes) -> bytes:
    """Return the first line of a work file, of which a byte order mark is no part of the encoding."""
    rest = line.removeprefix(_BYTE_ORDER_MARK)
    return line if rest == line else BYTE_ORDER_MARK.encode() + rest


def _with_all_fields(lines: Sequence[bytes], delimiter: bytes, fields: int) -> list[bytes]:
    """Return lines, of which one with too many fields does not end with an empty one."""
    nothing = NOTHING.encode()
    return [line + nothing if line.endswith(delimiter) and line.count(delimiter) >= fields else line for line in lines]


def _lines(file: Iterable[str]) -> Iterator[str]:
    """Yield a file's lines as csv takes them: marks for zero bytes, and for carriage returns that end no line."""
    for line in file:
        text = line if line.isascii() else _without_marks(line)
        if "\0" in text:
            text = text.replace("\0", NUL)
        yield _LONE_RETURN.sub(CARRIAGE_RETURN, text) if text.count("\r") > text.endswith("\r\n") else text


def _without_marks(text: str) -> str:
    """Return a text whose own characters are none of those that stand for others: Unicode keeps them out of files."""
    return _OWN_MARKS.sub(UNDECODABLE, text)


def _joined(cells: Sequence[str], delimiter: str, told: str) -> bytes:
    """Return a record as a line of a work file; DataError for one that is too long."""
    line = delimiter.join(cells)
    if len(line) > LONGEST_RECORD:
        raise DataError(f"{told} is longer than {LONGEST_RECORD:,} characters.", "It is no table.")
    if line.count(delimiter) != len(cells) - 1 or "\n" in line or "\r" in line or "\0" in line:
        line = delimiter.join(
            cell.replace("\0", NUL)
            .replace("\n", LINE_FEED)
            .replace("\r", CARRIAGE_RETURN)
            .replace(delimiter, DELIMITER)
            for cell in cells
        )
    try:
        return line.encode()
    except UnicodeEncodeError:  # half a character, as JSON can escape it
        return line.encode(errors="surrogatepass").decode(errors="replace").encode()


def _has_marks(text: bytes) -> bool:
    """Tell whether any character stands for another one."""
    return _MARKS_BEGIN in text and any(mark in text for mark in _MARKS_BYTES)
