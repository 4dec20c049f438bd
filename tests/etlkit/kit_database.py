"""One database for a module's tests, emptied before each: making one for every test would take longer than the test.

Beside it stand the connections, SQL files and questions with which several modules use theirs.
"""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import etlkit
from etlkit.postgres import apply_schema, connect

META = Path(etlkit.__file__).parent / "sql" / "meta.sql"


@contextmanager
def made_database(server, name):
    """Make a database with the kit's own schema and nothing else; drop it at the end."""
    settings = server.ensure_database(name)
    try:
        with closing(connect(settings, "kit_database")) as connection:
            apply_schema(connection, META)
        yield settings
    finally:
        server.drop_database(name)


def emptied(settings):
    """End whatever an earlier test left connected, and take its tables and rows away."""
    with closing(connect(settings, "kit_database")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        cursor.execute("drop schema public cascade")
        cursor.execute("create schema public")
        cursor.execute("truncate meta.schema_version, meta.ingestion_runs, meta.rejected_records")
    return settings


@contextmanager
def connections(settings):
    """Give a function that opens connections, which are closed in the end."""
    with ExitStack() as stack:
        yield lambda name="worker": stack.enter_context(closing(connect(settings, name)))


def sql_writer(folder):
    """Return a function that writes a SQL file."""

    def write(text, name="statement.sql"):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def value(connection, statement, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


def rows(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def kill(connection, pid):
    """End a session from the server's side and wait until it has gone."""
    assert value(connection, "select pg_terminate_backend(%s, 10000)", (pid,)), f"session {pid} did not go"
