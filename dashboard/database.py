"""Read-only sessions on the museum's database, kept open between looks.

Every look is one transaction that sees one state of the database, so the figures of a page belong together; the server
itself refuses writes in it, whatever role the login has.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, PYDATETIMETZ, new_type, register_type

from dashboard.selection import EARLIEST, LATEST
from etlkit.errors import LoadError
from etlkit.postgres import Connection, Cursor, connect, load_errors
from etlkit.settings import DatabaseSettings

STATEMENT_TIMEOUT = "30s"
IDLE_SESSIONS = 4
"""How many sessions wait for the next look; a crowd of viewers opens more for the moment."""


TIMESTAMPTZ = 1184


def _shown_moment(text: str | bytes | None, cursor: Cursor) -> datetime | None:
    """Return a moment of the database, None for one that is not shown; Python has only the years 1 to 9999."""
    try:
        moment = PYDATETIMETZ(text, cursor)
    except (ValueError, OverflowError):
        return None
    # infinity is a time without a zone
    return moment if moment and moment.tzinfo and EARLIEST <= moment < LATEST else None


SHOWN_MOMENT = new_type((TIMESTAMPTZ,), "SHOWN_MOMENT", _shown_moment)


class Reader:
    """Looks at the database, from any thread."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Remember where the database is; the first look connects."""
        self._settings = settings
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue(IDLE_SESSIONS)

    @contextmanager
    def look(self) -> Iterator[Cursor]:
        """Give a cursor in a read-only transaction; a session that has died meanwhile is replaced.

        Raises ConfigError for a wrong login, LoadError when the server refuses a statement or does not answer.
        """
        connection = self._living_session()
        try:
            with load_errors("reading the museum's figures"), connection.cursor() as cursor:
                yield cursor
        finally:
            self._keep(connection)

    def close(self) -> None:
        """Close the idle sessions."""
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _living_session(self) -> Connection:
        """Return an idle session that still answers, else a new one."""
        with suppress(queue.Empty):
            while True:
                connection = self._idle.get_nowait()
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("select")
                except psycopg2.Error:
                    connection.close()
                else:
                    return connection
        return self._open()

    def _open(self) -> Connection:
        """Open a session whose transactions are read-only and see one state."""
        connection = connect(self._settings, "museum dashboard", mute_seconds=20)
        try:
            register_type(SHOWN_MOMENT, connection)
            connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
            with connection, connection.cursor() as cursor:
                cursor.execute("select set_config('statement_timeout', %s, false)", (STATEMENT_TIMEOUT,))
        except psycopg2.Error as error:
            connection.close()
            raise LoadError(f"the database broke off: {error}") from error
        return connection

    def _keep(self, connection: Connection) -> None:
        """Put a session back, unless it broke or enough of them wait."""
        try:
            connection.rollback()
            self._idle.put_nowait(connection)
        except (psycopg2.Error, queue.Full):
            with closing(connection), suppress(psycopg2.Error):
                connection.cancel()
