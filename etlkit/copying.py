"""Rows on their way to Postgres: COPY from rows, blocks or a stream, and batches that lose only what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import psycopg2

from etlkit.postgres import Cursor

READ_BYTES = 65_536
_RECORD_FAULTS = ("22", "23", "54")
"""SQLSTATE classes that one record can be to blame for: its data, a constraint, a limit of its size."""
Item = TypeVar("Item")


def store_or_halve(
    items: Sequence[Item],
    store: Callable[[Sequence[Item]], None],
    refuse: Callable[[Item, psycopg2.Error], None],
) -> None:
    """Store items all or nothing; a batch that the server refuses is halved down to the item to blame.

    `store` undoes what it began before its driver error leaves it; `refuse` takes each item that fails alone. An error
    that no item can be to blame for is raised.
    """
    if not items:
        return
    try:
        store(items)
    except psycopg2.Error as error:
        if not (error.pgcode or "").startswith(_RECORD_FAULTS):
            raise
        if len(items) == 1:
            refuse(items[0], error)
            return
        middle = len(items) // 2
        store_or_halve(items[:middle], store, refuse)
        store_or_halve(items[middle:], store, refuse)


@contextmanager
def savepoint(cursor: Cursor) -> Iterator[None]:
    """Undo what is done inside when the server refuses it, and keep the transaction around it."""
    cursor.execute("savepoint etl")
    try:
        yield
    except psycopg2.Error:
        with suppress(psycopg2.Error):  # a connection that broke must not hide why it broke
            cursor.execute("rollback to savepoint etl")
        raise
    cursor.execute("release savepoint etl")


def copy_stream(cursor: Cursor, path: Path, stream: IO[Any]) -> int:
    """Run the COPY ... FROM STDIN of a SQL file over a stream and return the number of rows."""
    deferring = _DeferringStream(stream)
    try:
        with _driver_errors():
            cursor.copy_expert(path.read_text(encoding="utf-8"), deferring, READ_BYTES)
    finally:
        if deferring.error is not None:
            raise deferring.error
    return cursor.rowcount


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Raise the server's last word where the driver prints it and raises something less telling.

    When the server ends a session during a COPY, psycopg2 2.9 prints the reason as if Python had come to its end.
    """
    printed: list[BaseException] = []
    hook = sys.excepthook
    sys.excepthook = lambda _class, error, _traceback: printed.append(error)
    try:
        yield
    except psycopg2.Error as error:
        causes = (cause for found in printed for cause in (found, found.__cause__, found.__context__))
        told = next((cause for cause in causes if isinstance(cause, psycopg2.Error)), None)
        if told is None:
            raise
        printed.clear()
        raise told from error
    finally:
        sys.excepthook = hook
        for found in printed:  # somebody else's
            hook(type(found), found, found.__traceback__)


def copy_rows(cursor: Cursor, path: Path, rows: Iterable[Sequence[object]]) -> int:
    """COPY rows through a SQL file in the text format, a chunk at a time; return the number of rows.

    None becomes NULL, bytes a bytea, a list of plain words an array; everything else its text.
    """
    return copy_blocks(cursor, path, _copy_lines(rows))


def copy_blocks(cursor: Cursor, path: Path, blocks: Iterable[bytes]) -> int:
    """Run the COPY ... FROM STDIN of a SQL file over blocks of any size; return the number of rows."""
    return copy_stream(cursor, path, _BlockStream(blocks))  # type: ignore[arg-type]  # only read() is asked for


class _DeferringStream:
    """A readable stream that ends early when reading fails, and keeps the error for whoever ordered the COPY.

    The driver cannot pass on what a read raises, a signal's exception included; it prints it.
    """

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self.error: BaseException | None = None

    def readline(self, size: int = -1) -> Any:
        """Serve the driver's check for a file; COPY reads in blocks."""
        return self.read(size)

    def read(self, size: int = -1) -> Any:
        """Return the stream's next bytes, none after an error."""
        if self.error is not None:
            return b""
        try:
            return self._stream.read(size)
        except BaseException as error:  # noqa: BLE001 - kept, and raised as soon as the driver has returned
            self.error = error
            return b""


class _BlockStream:
    """A readable stream over blocks that are made as they are asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._ready = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return up to size bytes, none at the end."""
        while not self._ready:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._ready = memoryview(block)
        data, self._ready = self._ready[:size], self._ready[size:]
        return bytes(data)


def _copy_lines(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield rows in COPY's text format, a few together."""
    lines: list[bytes] = []
    length = 0
    for row in rows:
        lines.append(_copy_line(row))
        length += len(lines[-1])
        if length >= READ_BYTES:
            yield b"".join(lines)
            lines, length = [], 0
    yield b"".join(lines)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_line(row: Sequence[object]) -> bytes:
    """Return one line of COPY's text format."""
    return "\t".join(_copy_field(value) for value in row).encode() + b"\n"


def _copy_field(value: object) -> str:
    """Return one field of COPY's text format."""
    if value is None:
        return r"\N"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return rf"\\x{value.hex()}"
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(str(item) for item in value) + "}"
    return str(value).translate(_ESCAPES)
