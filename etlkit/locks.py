"""Advisory locks: no two writers on one target, and whoever finds it taken says by whom."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2

from etlkit.errors import LockedError
from etlkit.postgres import Connection, Cursor, load_errors, only_value, run_file

SQL = Path(__file__).parent / "sql"


@contextmanager
def advisory_lock(connection: Connection, name: str) -> Iterator[None]:
    """Hold the session-wide advisory lock of a target while inside.

    Raises LockedError that names the holder (application, process, since when) when it is taken.
    """
    if holder := try_advisory_lock(connection, name):
        raise LockedError(f"{name} is locked by {holder}.", "Nothing was touched; try again when it has finished.")
    try:
        yield
    finally:
        # a connection that broke has lost its lock anyway, and must not hide why it broke
        with suppress(psycopg2.Error):
            connection.rollback()
            release_advisory_lock(connection, name)


def try_advisory_lock(connection: Connection, name: str) -> str | None:
    """Take the session-wide advisory lock of a target if it is free; else return who holds it."""
    key = lock_key(name)
    with load_errors(f"taking the lock {name}"), connection, connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", (key,))
        return None if only_value(cursor) else _lock_holder(cursor, key)


def release_advisory_lock(connection: Connection, name: str) -> None:
    """Give back a lock that this session holds."""
    with connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_unlock(%s)", (lock_key(name),))


def lock_key(name: str) -> int:
    """Return the 64-bit key of a lock's name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def _lock_holder(cursor: Cursor, key: int) -> str:
    """Return who holds a lock, as far as the server tells."""
    run_file(cursor, SQL / "find_lock_holder.sql", {"key": key})
    found = cursor.fetchone()
    if found is None:
        return "a session that has just ended"
    name, pid, address, since = found
    return f"{name} (server process {pid}, from {address}{f', connected since {since}' if since else ''})"
