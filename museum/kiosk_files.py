"""Reading kiosk files as bytes: what a file is, its header, and its physical lines.

A row is a physical line after the header; blank lines are no rows. A line ends at LF, CRLF or CR, quoted or not, so a
stray quote spoils one row and not the rest of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from museum.kiosk import KIOSK_COLUMNS, split_line

BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KEPT_BYTES = 65_536
"""How much of a wholly unreadable file is kept as its reject; the file itself stays where it is."""

_MASK = bytes(byte if byte < 128 else ord("?") for byte in range(256))  # noqa: PLR2004 - the end of ASCII

FILE_REASONS = ("empty_file", "not_text", "bad_header", "overlong_line")


@dataclass(frozen=True)
class KioskFile:
    """What one pass over a file's bytes tells."""

    path: Path
    sha256: str
    size_bytes: int
    is_ascii: bool
    columns: tuple[str, ...]
    problem: str | None = None
    detail: str = ""


def inspect_file(path: Path) -> KioskFile:
    """Hash a file and find out whether it is a kiosk file at all: text, with the right header and sane lines."""
    digest = hashlib.sha256()
    is_ascii, has_overlong_line = True, False
    size_bytes = 0
    first = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            first = first or block
            digest.update(block)
            size_bytes += len(block)
            is_ascii = is_ascii and (block.removeprefix(BYTE_ORDER_MARK) if block is first else block).isascii()
            if len(block) == BLOCK_BYTES and b"\n" not in block and b"\r" not in block:
                has_overlong_line = True
    columns, problem, detail = _judge_header(first)
    if problem is None and has_overlong_line:
        problem, detail = "overlong_line", "a line is longer than 1 MiB"
    return KioskFile(path, digest.hexdigest(), size_bytes, is_ascii, columns, problem, detail)


def iterate_rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (row number from 1, the line's bytes without its end) of every row after the header."""
    number = -1
    with path.open(encoding="latin-1", newline=None) as file:
        for line in file:
            text = line.rstrip("\n")
            if not text:
                continue
            number += 1
            if number > 0:
                yield number, text.encode("latin-1")


def write_masked(path: Path, masked_path: Path) -> None:
    """Copy a file with every byte beyond ASCII replaced by a question mark, byte for byte in place.

    DuckDB refuses a file with bytes that are no UTF-8; in the copy such rows are merely not understood.
    """
    with path.open("rb") as file, masked_path.open("wb") as masked:
        while block := file.read(BLOCK_BYTES):
            masked.write(block.translate(_MASK))


def kept_bytes(path: Path) -> bytes:
    """Return the beginning of a file that is rejected as a whole."""
    with path.open("rb") as file:
        return file.read(KEPT_BYTES)


def _judge_header(first: bytes) -> tuple[tuple[str, ...], str | None, str]:
    """Return the columns, or why the file's beginning is not a kiosk file's."""
    if not first.strip():
        return (), "empty_file", "the file is empty"
    line = first.removeprefix(BYTE_ORDER_MARK).split(b"\n", 1)[0].split(b"\r", 1)[0]
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return (), "not_text", "the first line is not UTF-8 text"
    if "\x00" in text:
        return (), "not_text", "the first line has NUL bytes"
    columns = tuple(name.lower() for name in split_line(text) or [])
    if sorted(columns) != sorted(KIOSK_COLUMNS):
        found = ", ".join(columns)[:200] or "unreadable"
        return (), "bad_header", f"columns are {found}; expected {', '.join(KIOSK_COLUMNS)}"
    return columns, None, ""
