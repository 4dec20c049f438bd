"""The kit's command to test with, run in this process, and the rows that it shows."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import etlkit.__main__ as command_line
from etlkit.logs import close_handlers

RUN = "5f2c1234-0000-4000-8000-000000000001"


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def table(self) -> list[list[str]]:
        """The rows of the table it printed, without the header."""
        return [re.split(r"\s{2,}", line.strip()) for line in self.out.splitlines()[2:]]


@contextmanager
def command(monkeypatch, project_dir, capsys):
    """Give a function that runs the command as that of another project: away from the developer's .env."""
    monkeypatch.setattr(command_line, "PROJECT_DIR", project_dir)
    monkeypatch.setattr(sys, "prefix", str(project_dir / ".venv"))

    def run(*arguments):
        capsys.readouterr()
        code = command_line.main([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    yield run
    close_handlers(logging.getLogger("etlkit"))


def variables(database):
    named = {f"DB_{name.upper()}": str(getattr(database, f"db_{name}")) for name in ("host", "port", "name", "user")}
    return {**named, "DB_PASSWORD": database.db_password.get_secret_value()}


def name_database(monkeypatch, database):
    """Let the environment name a database."""
    for name, value in variables(database).items():
        monkeypatch.setenv(name, value)


def add_run(connection, run_id=None, *, system="museum", status="completed", age="0 days", error=None, metadata=None):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into meta.ingestion_runs (
                run_id, source_system, entity_type, started_at, completed_at, status, records_processed, error_message,
                metadata
            )
            values (
                %(run)s, %(system)s, 'batch', now() - %(age)s::interval, now() - %(age)s::interval + interval '90.04 s',
                %(status)s, 1234567, %(error)s, %(metadata)s
            )
            """,
            {
                "run": run_id or f"a{str(uuid4())[1:]}",
                "system": system,
                "age": age,
                "status": status,
                "error": error,
                "metadata": json.dumps(metadata or {}),
            },
        )


def add_reject(
    connection, position="1", raw=b"2023-03-06,99,0,", *, source="s3://b/k", reasons=("bad_at",), resolved=None
):
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into meta.rejected_records (source, position, raw, reasons, run_id, resolved_at) "
            "values (%s, %s, %s, %s, %s, %s)",
            (source, position, raw, list(reasons), RUN, resolved),
        )


def assert_one_line(said, code, *parts):
    assert (said.code, said.out) == (code, ""), said
    assert len(said.err.splitlines()) == 1, said
    assert said.err.startswith("error: "), said
    for part in parts:
        assert part in said.err, said
