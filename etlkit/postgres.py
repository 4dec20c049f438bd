"""Connections, transactions, SQL files and schemas on Postgres, with driver errors turned into one clear line.

Sessions run in UTC with ISO dates, so nothing depends on the server's or the user's settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import errorcodes

from etlkit.aws_secret import read_secret
from etlkit.errors import ConfigError, EtlError, LoadError
from etlkit.settings import DatabaseSettings

Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor

CONNECT_TIMEOUT_SECONDS = 10
_KNOWN_CODES = {value for name, value in vars(errorcodes).items() if name.isupper() and isinstance(value, str)}
_DISTRUST = ("root certificate file", "certificate verify failed", "server certificate for", "sslrootcert")
_NO_SUCH_SERVER = ("does not support SSL", "invalid response to SSL negotiation", "expected authentication request")
_REFUSALS = (
    "authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry", "permission denied",
    "is not permitted to log in", "no such database", "no such user", "unsupported startup parameter",
)  # fmt: skip
_STATEMENT_END = re.compile(r";[ ]*\n")
_FATAL = re.compile(r"FATAL ?: ")
"""Who says this has answered; in French with a blank."""

SESSION = (
    "set timezone = 'UTC'; set datestyle = 'ISO'; set idle_session_timeout = 0; "
    "set default_transaction_isolation = 'read committed'"
)
"""Said after the login, since poolers refuse options at start-up. A run that waits for its source is not idle; what
waited for a lock must see what the lock was held for, whatever the database's own default."""


@dataclass(frozen=True)
class Schema:
    """A system's schema: the version that the program needs, and the command that brings a database there."""

    system: str
    version: int
    command: str
    table: str | None = None
    """One that the statements name without its schema, as whoever runs them must see it."""


def connect(settings: DatabaseSettings, application_name: str, *, mute_seconds: int | None = None) -> Connection:
    """Return a connection to the server of the settings; the embedded one must be running already.

    A network that swallows what is sent is given up after `mute_seconds`, else after the system's quarter of an hour.
    Raises ConfigError for a wrong password or database and for a server that is not the one of the certificates,
    LoadError when the server does not answer.
    """
    user, password = read_secret(settings) if settings.db_secret_id else (settings.db_user, settings.db_password)
    try:
        connection: Connection = psycopg2.connect(
            host=settings.db_host,
            port=settings.db_port,
            dbname=settings.db_name,
            user=user,
            password=password.get_secret_value() or None,
            sslmode=settings.sslmode,
            sslrootcert=settings.db_sslrootcert and str(settings.db_sslrootcert),
            application_name=application_name[:63],
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=1000 * (mute_seconds or 0),
            client_encoding="UTF8",
        )
    except (ValueError, UnicodeError) as error:
        raise ConfigError(f"a database setting cannot be sent to a server: {error}. Nothing was touched.") from error
    except psycopg2.OperationalError as error:
        raise _refusal(settings, user, str(error), server_words(error)) from error
    with load_errors("preparing the session", "Nothing was loaded."):
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(SESSION)
        connection.autocommit = False
    return connection


def _refusal(settings: DatabaseSettings, user: str, words: str, reason: str) -> EtlError:
    """Return the error for a login that failed: who answered, what it said, and what to do."""
    where = f"{user}@{settings.db_host}:{settings.db_port}/{settings.db_name}"
    if detail := re.search(r"^DETAIL:\s*(.*?)\.?$", words, re.MULTILINE):
        reason = f"{reason} ({detail[1]})"
    if settings.db_secret_id and "authentication failed" in words:
        return LoadError(
            f"cannot log in to {where}: {reason}, with the login of DB_SECRET_ID.",
            "While it rotates that passes; else the secret and the server do not agree. Nothing was loaded.",
        )
    if any(told in words for told in _DISTRUST):
        return ConfigError(
            f"cannot be sure of {where}: {reason}.",
            f"Check {settings.told_place}, and that {settings.told_authority} names the file with the certificates "
            "of the server's authority. Nothing was touched.",
        )
    if any(told in words for told in _NO_SUCH_SERVER):
        return ConfigError(
            f"what answers at {where} is no Postgres with this TLS mode: {reason}.",
            f"Check {settings.told_place}. Nothing was touched.",
        )
    if any(told in words for told in _REFUSALS):
        advice = f"Check {settings.told_login}."
        if reason.startswith("database ") and "does not exist" in reason:
            advice = f"Create it first, e.g. with createdb, or correct {settings.told_name}."
        return ConfigError(f"cannot log in to {where}: {reason}.", f"{advice} Nothing was touched.")
    if _FATAL.search(words):
        return LoadError(f"{where} answers and lets nobody in: {reason}.", "Nothing was loaded; run again.")
    return LoadError(
        f"cannot reach {where}: {reason}.",
        f"Check {settings.told_place} and that the server is up. Nothing was loaded.",
    )


@contextmanager
def load_errors(what: str, outcome: str = "The transaction was rolled back, nothing was loaded.") -> Iterator[None]:
    """Turn any driver error inside into a LoadError that says what was being done, and what became of it."""
    try:
        yield
    except psycopg2.Error as error:
        code = error.pgcode
        name = f" ({errorcodes.lookup(code)})" if code and code in _KNOWN_CODES else ""
        raise LoadError(f"{what}: {server_words(error)}{name}. {outcome}") from error


@contextmanager
def rolled_back_on_error(connection: Connection) -> Iterator[None]:
    """Give up the transaction and its locks as soon as anything inside fails, whatever the caller does then."""
    try:
        yield
    except BaseException:
        with suppress(psycopg2.Error):
            connection.rollback()
        raise


def commit(connection: Connection) -> None:
    """Commit; raises a LoadError that promises nothing when the connection breaks meanwhile."""
    try:
        connection.commit()
    except psycopg2.Error as error:
        if not connection.closed:
            raise
        raise LoadError(
            f"the connection broke during the commit ({server_words(error)}); only the server knows whether the rows "
            "are there. Look to the server and run again: what is there is not loaded twice."
        ) from error


@contextmanager
def unit_of_work(connection: Connection, *, dry_run: bool = False) -> Iterator[Cursor]:
    """Commit what is written inside, or roll it back after an error and on a dry run."""
    with rolled_back_on_error(connection), connection.cursor() as cursor:
        yield cursor
        if dry_run:
            connection.rollback()
        else:
            commit(connection)


def run_file(cursor: Cursor, path: Path, parameters: Mapping[str, Any] | None = None) -> int:
    """Run the statements of a SQL file in their order and return the number of rows that they touched or found.

    A statement before the last one ends with a semicolon at the end of its line. The cursor has the last one's result.
    """
    touched = 0
    for statement in _STATEMENT_END.split(path.read_text(encoding="utf-8")):
        cursor.execute(statement, parameters)
        touched += max(cursor.rowcount, 0)
    return touched


def fetch_dicts(cursor: Cursor, path: Path, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run a SQL file and return the rows of its last statement by the names of their columns."""
    run_file(cursor, path, parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def apply_schema(connection: Connection, path: Path) -> None:
    """Run a whole schema file in one transaction; it creates what is missing and drops nothing."""
    with load_errors(f"applying {path.name}"), connection, connection.cursor() as cursor:
        cursor.execute(path.read_text(encoding="utf-8"))


def schema_version(connection: Connection, system: str) -> int | None:
    """Return the version of a system's schema in the database, None where it was never applied."""
    with load_errors("reading the schema's version"), connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('meta.schema_version') is not null")
        if not only_value(cursor):
            return None
        cursor.execute("select max(version) from meta.schema_version where system = %s", (system,))
        version: int | None = only_value(cursor)
        return version


def require_schema(connection: Connection, schema: Schema) -> None:
    """Raise ConfigError with the command to run unless the database has the schema, at least in this version."""
    found = schema_version(connection, schema.system)
    if found is None:
        raise ConfigError(
            f"the database has no {schema.system} schema yet.", f"Run once: {schema.command}. Nothing was touched."
        )
    if found < schema.version:
        raise ConfigError(
            f"the database has version {found} of the {schema.system} schema, this program needs {schema.version}.",
            f"Upgrade it with: {schema.command}. Nothing was touched.",
        )
    if schema.table:
        _require_sight(connection, schema.table)


def _require_sight(connection: Connection, table: str) -> None:
    """Raise ConfigError when the session's search_path does not show a table that is there."""
    with load_errors("looking for the tables"), connection, connection.cursor() as cursor:
        cursor.execute(
            "select current_user, current_setting('search_path'), min(relnamespace::regnamespace::text) from pg_class "
            "where relname = %s and relkind = 'r' having to_regclass(%s) is null",
            (table, table),
        )
        hidden = cursor.fetchone()
    if hidden:
        role, search_path, place = hidden
        raise ConfigError(
            f"the table {table} is not seen with the search_path {search_path!r} of {role}.",
            f"Let it name the schema {place or 'of the tables'}: alter role ... set search_path. Nothing was touched.",
        )


def server_words(error: psycopg2.Error) -> str:
    """Return the server's own first sentence without the driver's decoration."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    fatal = [_FATAL.split(line, maxsplit=1)[1].strip() for line in lines if _FATAL.search(line)]
    return (fatal or lines)[0].rstrip(".")


def only_value(cursor: Cursor) -> Any:
    """Return the single value of the single row."""
    row = cursor.fetchone()
    return row[0] if row else None


def process_name(program: str, run_id: object) -> str:
    """Return the application name under which a run can be found in pg_stat_activity."""
    return f"{program} run {str(run_id)[:8]} pid {os.getpid()}"
