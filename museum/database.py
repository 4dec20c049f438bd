"""Which database a command works on, the envelope of a run there, and what the database knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2

from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import ConfigError
from etlkit.locks import advisory_lock
from etlkit.postgres import Connection, Cursor, apply_schema, connect, only_value, process_name, run_file, server_words
from etlkit.runs import Run, open_run
from etlkit.settings import DatabaseSettings
from etlkit.signals import cancelled_by_signals
from museum.command import Command
from museum.kiosk import Reference
from museum.settings import PROJECT_DIR, SCHEMA, SCHEMA_FILE, SQL

MOVING_PRESSES = ("batch", "archive")
"""Runs that move presses between files and tables: one at a time, and each tells the others' that were killed."""


@dataclass
class RunningRun:
    """A run under way: its connection, which holds the lock, and how to get another one should it be lost."""

    connection: Connection
    run: Run
    reconnect: Callable[[], Connection]

    def keep_connected(self, log: logging.Logger) -> None:
        """Connect and lock again where the idle session ended; raises LockedError when another run came in between."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("select 1")
            self.connection.rollback()
        except psycopg2.Error as error:
            log.warning("the database ended the session meanwhile (%s); connecting again", server_words(error))
            self.connection = self.reconnect()


@contextmanager
def open_museum_run(
    command: Command,
    log: logging.Logger,
    entity_type: str,
    program: str,
    metadata: Mapping[str, Any],
) -> Iterator[RunningRun]:
    """Open a run of the museum's; those that move presses share a lock.

    Raises what `open_run` and `database_settings` raise.
    """
    sharing = MOVING_PRESSES if entity_type in MOVING_PRESSES else (entity_type,)
    covers = [another for another in sharing if another != entity_type]
    run = Run(command.run_id, SCHEMA.system, entity_type, command.dry_run, metadata, covers)
    database = database_settings(command, log)
    name = process_name(program, command.run_id)
    lock_name = f"{SCHEMA.system}:{sharing[0]}"
    with (
        open_run(run, SCHEMA, [lock_name], lambda: connect(database, name), log, secrets=command.secrets) as connection,
        ExitStack() as later_sessions,
    ):

        def reconnect() -> Connection:
            another = later_sessions.enter_context(closing(connect(database, name)))
            later_sessions.enter_context(advisory_lock(another, lock_name))
            later_sessions.enter_context(cancelled_by_signals(another))
            return another

        yield RunningRun(connection, run, reconnect)


def database_settings(command: Command, logger: logging.Logger | None = None) -> DatabaseSettings:
    """Return where the database is; the embedded server is started, and a new database of it gets the schema."""
    if command.database is None:
        raise ConfigError("no database was asked for. Nothing was touched.")
    if not command.database.is_embedded:
        return command.database
    server = EmbeddedServer(default_home(PROJECT_DIR))
    with server.locked():
        settings = server.ensure_database(command.database.db_name)
        with closing(connect(settings, "museum schema")) as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass('meta.schema_version') is null")
            if only_value(cursor):
                connection.rollback()
                apply_schema(connection, SCHEMA_FILE)
                (logger or logging.getLogger(__name__)).info("applied %s", SCHEMA_FILE.name)
    return settings


def read_reference(cursor: Cursor, latest_at: datetime) -> Reference:
    """Return what the database knows; the archive's border then stays where it is until the transaction ends."""
    run_file(cursor, SQL / "exhibition" / "read_reference.sql")
    sites, ratings, incident_types, border = cursor.fetchone() or ([], [], [], None)
    return Reference(frozenset(sites), frozenset(ratings), frozenset(incident_types), latest_at, border)
