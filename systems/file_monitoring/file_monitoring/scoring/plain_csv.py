"""Whatever a file is, as plain CSV in UTF-8: what its bytes are, how they are written, what stands in them.

In comes a path and the name under which the file came, out goes a `PlainCsv` on the scratch folder or the file itself.
What cannot be read is `Unreadable`, with the reason: the file's fault, and a score. An OSError is the machine's fault
and none.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from typing_extensions import Self

from file_monitoring.scoring.definition import Definition, Dialect
from file_monitoring.scoring.limits import LONGEST_CELL, MIB, MOST_HEADER_COLUMNS, Limits
from file_monitoring.scoring.values import BLANKS

BLOCK = MIB
NUL = "a NUL stands in the text"
FEW_COLUMNS = 20
OVERLAP = 20_000
"""Bytes of a block that are looked at with the next one: more than the widest row's empty cells take."""
DELIMITERS = ",;\t|"
GZIP, ZIP, OLE = b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
FOREIGN = {
    b"%PDF-": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF87a": "a picture",
    b"GIF89a": "a picture",
    b"PAR1\x15": "a Parquet file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"BZh91AY&SY": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x7fELF": "a program",
    b"{\\rtf": "an RTF document",
    b"SQLite format 3": "a database",
}
"""What is no table, by its first bytes."""
MARKUP = re.compile(rb"\s*<(?:!doctype|html|\?xml|head|body|table)[\s>]", re.IGNORECASE)
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WORKBOOK_NAMES = (".xlsx", ".xlsm", ".xltx", ".xltm", ".xls", ".xlsb")
_FOREIGN = "json jsonl xml html htm pdf doc docx parquet avro zip 7z rar tar jpg jpeg png gif exe sql"
FOREIGN_NAMES = tuple(f".{name}" for name in _FOREIGN.split())
"""What a name may say that is no table."""
TEXT_NAMES = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat")


class Unreadable(Exception):
    """A file is not what it should be; the text says why, without a word of its content."""


@dataclass(frozen=True)
class Suspicions:
    """What a faster reader may take otherwise than the judge, in silence."""

    delimiters_at_line_ends: int = 0
    """Every one of them, as of 1,,, three: each is an empty cell at a row's end, or one cell too many."""
    has_blank_lines: bool = False
    has_blanks_at_quotes: bool = False
    has_lone_returns: bool = False


@dataclass(frozen=True)
class PlainCsv:
    """A file as CSV in UTF-8, and what was found out about it."""

    path: Path
    kind: str = "csv"
    """What it was: csv, xlsx or xls."""
    encoding: str = "utf-8"
    is_encoding_guessed: bool = False
    is_compressed: bool = False
    sheet: str | None = None
    formulas_without_value: int = 0
    dialect: Dialect = field(default_factory=Dialect)
    """How it is written, the delimiter included."""
    header: tuple[str, ...] = ()
    header_row: int = 1
    header_is_one_line: bool = True
    suspicions: Suspicions = field(default_factory=Suspicions)


def plain_csv(path: Path, name: str, definition: Definition | None, limits: Limits, scratch: Path) -> PlainCsv:
    """Return a file as plain CSV, its header read; `name` is what it is called. Raises Unreadable."""
    dialect = definition.dialect if definition else Dialect()
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("the file is empty")
    if size > limits.file_bytes:
        raise Unreadable(f"the file has {size:,} bytes, the limit is {limits.file_bytes:,}")
    name = name.lower()
    is_compressed = _begins(path, GZIP)
    if is_compressed:
        path = _unpacked(path, limits, scratch / "unpacked")
        name = name.removesuffix(".gz")
    elif name.endswith(".gz"):
        raise Unreadable("the name ends in .gz and the file is no gzip archive")
    if _begins(path, ZIP) or _begins(path, OLE):
        found = _workbook(path, name, dialect, limits, scratch)
    else:
        found = _text(path, name, dialect, limits, scratch)
    return _with_header(replace(found, is_compressed=is_compressed), definition)


def _begins(path: Path, mark: bytes) -> bool:
    """Tell whether a file begins with these bytes."""
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _unpacked(path: Path, limits: Limits, target: Path) -> Path:
    """Return what a gzip archive holds, as a file; Unreadable where it is broken or a bomb."""
    written = 0
    try:
        with gzip.open(path) as source, target.open("wb") as file:
            while block := source.read(BLOCK):
                written += len(block)
                if written > limits.unpacked_bytes:
                    raise Unreadable(f"the gzip archive unpacks to more than {limits.unpacked_bytes:,} bytes")
                file.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unreadable(f"the gzip archive is broken: {type(error).__name__}") from error
    if written == 0:
        raise Unreadable("the gzip archive is empty")
    if _begins(target, GZIP):
        raise Unreadable("the gzip archive holds another one")
    return target


def _workbook(path: Path, name: str, dialect: Dialect, limits: Limits, scratch: Path) -> PlainCsv:
    """Return a workbook's sheet as CSV."""
    from file_monitoring.scoring.workbook import sheet_as_csv  # noqa: PLC0415 - a third of a second, for workbooks only

    if name.endswith(TEXT_NAMES):
        raise Unreadable("the name says text and the content is a workbook or an archive")
    written = sheet_as_csv(path, scratch / "sheet.csv", dialect.sheet, limits)
    plain = Dialect(delimiter=",", skip_rows=dialect.skip_rows)
    return PlainCsv(
        written.path,
        kind=written.kind,
        sheet=written.sheet,
        formulas_without_value=written.formulas_without_value,
        dialect=plain,
    )


def _text(path: Path, name: str, dialect: Dialect, limits: Limits, scratch: Path) -> PlainCsv:
    """Return a text file in UTF-8, in which nothing stands that a text has not."""
    with path.open("rb") as file:
        beginning = file.read(1024)
    for mark, what in FOREIGN.items():
        if beginning.startswith(mark):
            raise Unreadable(f"the content is {what}")
    if MARKUP.match(beginning.removeprefix(codecs.BOM_UTF8)):
        raise Unreadable("the content is markup, such as a web page")
    if name.endswith(WORKBOOK_NAMES):
        raise Unreadable("the name says workbook and the content is none")
    if name.endswith(FOREIGN_NAMES):
        raise Unreadable("the name says that it is no table")
    encoding = next((encoding for mark, encoding in MARKS if beginning.startswith(mark)), None) or dialect.encoding
    is_guessed = False
    if encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        try:
            _check_encoding(path, encoding or "utf-8")
        except UnicodeDecodeError as error:
            if encoding is not None or dialect.fallback_encoding is None:
                raise Unreadable(f"the text is not in {encoding or 'utf-8'}: {_where(error)}") from error
            encoding, is_guessed = dialect.fallback_encoding, True
    if encoding is not None and codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig", "ascii"):
        path = _in_utf_8(path, encoding, limits, scratch / "in_utf_8.csv")
    return PlainCsv(path, encoding=encoding or "utf-8", is_encoding_guessed=is_guessed, dialect=dialect)


def _check_encoding(path: Path, encoding: str) -> None:
    """Raise UnicodeDecodeError where a file is not in an encoding, with the place in the whole file."""
    decoder = codecs.getincrementaldecoder(encoding)()
    position = 0
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                start = position - waiting + error.start
                raise UnicodeDecodeError(
                    error.encoding, error.object, start, start + error.end - error.start, error.reason
                ) from None
            position += len(block)
            if not block:
                return


def _where(error: UnicodeDecodeError) -> str:
    """Return where a text stops being in its encoding, without the text."""
    return f"{error.reason} at byte {error.start:,}; name the encoding in the definition's dialect"


def _in_utf_8(path: Path, encoding: str, limits: Limits, target: Path) -> Path:
    """Return a text in UTF-8, its line ends as they were."""
    written = 0
    try:
        with path.open(encoding=encoding, newline="") as source, target.open("w", encoding="utf-8", newline="") as file:
            while block := source.read(BLOCK):
                written += file.write(block)
                if written > limits.unpacked_bytes:
                    raise Unreadable(f"the text has more than {limits.unpacked_bytes:,} characters")
    except UnicodeError as error:
        where = _where(error) if isinstance(error, UnicodeDecodeError) else str(error)
        raise Unreadable(f"the text is not in {encoding}: {where}") from error
    return target


def _looked_through(path: Path, delimiter: str, columns: int) -> Suspicions:
    """Look for what a faster reader takes otherwise; Unreadable for a NUL, which no text has."""
    mark = delimiter.encode()
    at_line_ends, before = 0, b"\n"  # so that a blank first line is seen
    has_blank_lines = has_blanks_at_quotes = has_lone_returns = False
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        while block := file.read(BLOCK):
            if b"\0" in block:
                raise Unreadable(NUL)
            seen = before + block  # what stands over the border of two blocks is seen, too
            has_returns = b"\r" in seen
            for end in (b"\n", b"\r") if has_returns else (b"\n",):
                at_line_ends += _count_before(seen, mark, end, columns) - _count_before(before, mark, end, columns)
            has_blank_lines = has_blank_lines or b"\n\n" in seen
            if has_returns:
                has_blank_lines = has_blank_lines or any(pair in seen for pair in (b"\n\r\n", b"\r\r", b"\r\n\r"))
                lone = seen.count(b"\r") - seen.count(b"\r\n") - seen.endswith(b"\r")
                has_lone_returns = has_lone_returns or lone > 0
            if b'"' in seen:
                has_blanks_at_quotes = has_blanks_at_quotes or _has_blanks_at_quotes(seen, mark)
            before = seen[-OVERLAP:]
    at_line_ends += len(before) - len(before.rstrip(mark))
    return Suspicions(at_line_ends, has_blank_lines, has_blanks_at_quotes, has_lone_returns or before.endswith(b"\r"))


def _count_before(block: bytes, mark: bytes, end: bytes, most: int) -> int:
    """Count the marks that stand before the line ends of a block; `most` is the columns' number."""
    if mark + end not in block:
        return 0
    if most <= FEW_COLUMNS:
        counts = (block.count(mark * run + end) for run in range(1, most + 1))
        return sum(itertools.takewhile(bool, counts))
    return sum(len(line) - len(line.rstrip(mark)) for line in block.split(end)[:-1])


def _has_blanks_at_quotes(block: bytes, delimiter: bytes) -> bool:
    """Tell whether blanks stand between a quote and its end of a cell."""
    if not any(pair in block for pair in (b' "', b'" ', b'\t"', b'"\t')):
        return False
    if delimiter == b" ":
        return True  # a quote beside the delimiter is nothing odd, but who can tell
    blank = b"[ ]" if delimiter == b"\t" else b"[ \t]"
    edge = re.escape(delimiter) or b",;\t|"
    before = b"[" + edge + b"\\r\\n]" + blank + b'+"'
    after = b'"' + blank + b'+(?:["' + edge + b"\\r\\n]|\\Z)"
    return bool(re.search(before + b"|" + after, block))


def _with_header(plain: PlainCsv, definition: Definition | None) -> PlainCsv:
    """Return the file with its header, and its delimiter where nobody said it; Unreadable where it has none."""
    dialect = plain.dialect
    if dialect.delimiter is None:
        wanted = {definition.fold(column.name) for column in definition.columns} if definition else set()
        fold = definition.fold if definition else str.strip

        def fit(delimiter: str) -> tuple[int, int, int]:
            try:
                row = _read_header(replace(plain, dialect=dialect.model_copy(update={"delimiter": delimiter})))[1]
            except Unreadable:
                return (-1, 0, 0)
            return (len({fold(name) for name in row} & wanted), len(row), -DELIMITERS.index(delimiter))

        usable = [delimiter for delimiter in DELIMITERS if delimiter not in (dialect.quote_char, dialect.escape_char)]
        dialect = dialect.model_copy(update={"delimiter": max(usable, key=fit)})
        plain = replace(plain, dialect=dialect)
    number, header, is_one_line = _read_header(plain)
    if len(header) > MOST_HEADER_COLUMNS:
        raise Unreadable(f"the header has {len(header):,} columns, the limit is {MOST_HEADER_COLUMNS:,}")
    return replace(
        plain,
        header=tuple(name.strip().removeprefix("\ufeff").strip() for name in header),
        header_row=number,
        header_is_one_line=is_one_line,
        suspicions=_looked_through(plain.path, dialect.delimiter or ",", len(header)),
    )


def _read_header(plain: PlainCsv) -> tuple[int, list[str], bool]:
    """Return the number of the header's row, its cells, and whether all up to it are rows of one line."""
    with opened_rows(plain) as rows:
        for number, row in rows:
            if number > plain.dialect.skip_rows and any(cell.strip(BLANKS) for cell in row):
                return number, row, rows.lines == number
    raise Unreadable("there is no header: all lines are blank")


def is_blank(row: list[str], columns: int) -> bool:
    """Tell whether a row is a wholly blank line; in a file of one column a cell of blanks is a row."""
    return not row or (len(row) == 1 and columns > 1 and not row[0].strip(BLANKS))


class Rows:
    """The rows of a plain CSV by the strict reader, with their numbers from 1 on; the header and blank lines count."""

    def __init__(self, plain: PlainCsv) -> None:
        """Open the file."""
        self._file: IO[str] = plain.path.open(encoding="utf-8-sig", newline="", buffering=BLOCK)
        csv.field_size_limit(LONGEST_CELL)
        self._reader = csv.reader(self._lines(), strict=True, **_reader_options(plain.dialect))

    @property
    def lines(self) -> int:
        """Return how many lines were read."""
        return self._reader.line_num

    def __enter__(self) -> Self:
        """Return the rows."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row with its number; Unreadable where the quotes are wrong or something is too long."""
        number = 0
        try:
            for number, row in enumerate(self._reader, 1):
                yield number, row
        except csv.Error as error:
            if "field larger than field limit" in str(error):
                raise Unreadable(f"a cell in row {number + 1:,} has more than {LONGEST_CELL:,} characters") from error
            raise Unreadable(f"row {number + 1:,} is no CSV: {_CSV_WORDS.get(str(error), str(error))}") from error

    def _lines(self) -> Iterator[str]:
        """Yield the lines, none of them longer than memory should hold."""
        while line := self._file.readline(LONGEST_CELL + 3):
            if len(line.rstrip("\r\n")) > LONGEST_CELL:
                raise Unreadable(f"a line has more than {LONGEST_CELL:,} characters")
            yield line


_CSV_WORDS = {"unexpected end of data": "a quote is opened and never closed", "line contains NUL": NUL}


def opened_rows(plain: PlainCsv) -> Rows:
    """Return the rows of a plain CSV."""
    return Rows(plain)


def _reader_options(dialect: Dialect) -> dict[str, Any]:
    """Return a dialect as the options of the csv module."""
    return {
        "delimiter": dialect.delimiter or ",",
        "quotechar": dialect.quote_char,
        "quoting": csv.QUOTE_MINIMAL if dialect.quote_char else csv.QUOTE_NONE,
        "doublequote": dialect.double_quote,
        "escapechar": dialect.escape_char,
        "skipinitialspace": dialect.skip_initial_space,
    }
