"""A Postgres server that a test may stop, crash or starve."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from museum_case import Museum

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect

PROJECT_DIR = Path(__file__).resolve().parent.parent


@contextmanager
def own_server(museum: Museum, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[EmbeddedServer]:
    """A server that a test may mistreat, with the museum's schema; the museum's runs go there."""
    server = EmbeddedServer(home)
    try:
        museum.database = server.ensure_database("museum")
        connection = connect(museum.database, "schema")
        apply_schema(connection, PROJECT_DIR / "schema.sql")
        connection.close()
        monkeypatch.setenv("DB_PASSWORD", museum.database.db_password.get_secret_value())
        yield server
    finally:
        server.stop()


def crash(server: EmbeddedServer) -> None:
    """Kill the server as a power cut would: at once, without a word to its clients."""
    pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)
    for _attempt in range(200):
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            time.sleep(0.05)
            continue
        return
