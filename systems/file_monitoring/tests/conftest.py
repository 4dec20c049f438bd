"""Fixtures of the monitor's tests: S3 and SQS over HTTP, the founding tables in a private Postgres."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitor_case import Monitor
from moto.server import ThreadedMotoServer

from etlkit.settings import DatabaseSettings

pytest_plugins = ["etlkit.testing.plugin"]

REPORTING_SCHEMA = Path(__file__).parent / "reporting_schema.sql"
NO_CONSTRAINT = Path(__file__).parent / "without_unique_run.sql"


@pytest.fixture(scope="session")
def schema_files() -> tuple[Path, ...]:
    return (REPORTING_SCHEMA,)


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of S3 and SQS."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def monitor(database: DatabaseSettings, aws: str, tmp_path: Path) -> Iterator[Monitor]:
    """The monitor with tables, a bucket, a queue and a dead-letter queue of its own."""
    made = Monitor(database, aws, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["with the unique constraint", "without it"])
def either_monitor(request: pytest.FixtureRequest, databases, aws: str, tmp_path: Path) -> Iterator[Monitor]:
    """The monitor on tables with and without the constraint that the live ones have."""
    schemas = (REPORTING_SCHEMA,) if request.param.startswith("with the") else (REPORTING_SCHEMA, NO_CONSTRAINT)
    with databases.fresh(schemas) as database:
        made = Monitor(database, aws, tmp_path)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no developer's .env leak into a command."""
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "no.env"))
    assert "DB_HOST" not in os.environ
