"""Pytest plugin of every system's tests.

Fixtures: a private Postgres for the session (one a worker), fresh databases with the system's schema, a connection, a
logger, and an environment without the developer's own settings. `--postgres=DIR` takes another server's programs;
ETL_FULL=1 runs full counts, ETL_SEED seeds them, ETL_NO_SKIPS=1 (CI) turns a skip for want of a server into a failure.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

import etlkit
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import Connection, apply_schema, connect
from etlkit.process import STOPPING_SIGNALS, heard_signals
from etlkit.settings import DatabaseSettings
from etlkit.testing import COUNTS, FULL, SEED, make_server_home

pytest.register_assert_rewrite("etlkit.testing.laws", "etlkit.testing.postgres_laws")

META_SCHEMA = Path(etlkit.__file__).parent / "sql" / "meta.sql"
NOT_FULL = "a full count; make soak runs it"
SERVER_SETTINGS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 50")
"""Durability is off, since the server's data is thrown away."""

_numbers = itertools.count(1)
_started = time.monotonic()
_skipped: list[str] = []
_allowed_skips: list[str] = [NOT_FULL]


class Databases:
    """Makes and drops a server's databases, over one connection; one with schemas is a copy of a template."""

    def __init__(self, server: EmbeddedServer) -> None:
        """Connect."""
        self._settings = server.database("postgres")
        self._connection = connect(self._settings, "databases")
        self._connection.autocommit = True
        self._templates: dict[tuple[Path, ...], DatabaseSettings] = {(): self._named("template1")}

    @contextmanager
    def fresh(self, schemas: tuple[Path, ...] = ()) -> Iterator[DatabaseSettings]:
        """Make a database with these schemas; drop it, and whoever is connected to it, in the end."""
        if schemas not in self._templates:
            template = self._create(self._templates[()])
            with closing(connect(template, "template")) as connection:
                for path in schemas:
                    apply_schema(connection, path)
            self._templates[schemas] = template
        made = self._create(self._templates[schemas])
        try:
            yield made
        finally:
            self._run("drop database {} with (force)", made.db_name)

    def close(self) -> None:
        """Disconnect; the server goes with all its databases."""
        self._connection.close()

    def _create(self, template: DatabaseSettings) -> DatabaseSettings:
        """Make a copy of a database."""
        made = self._named(f"test_{next(_numbers)}")
        self._run("create database {} template {}", made.db_name, template.db_name)
        return made

    def _named(self, name: str) -> DatabaseSettings:
        """Return the settings of a database on the server."""
        return self._settings.model_copy(update={"db_name": name})

    def _run(self, statement: str, *names: str) -> None:
        """Run a statement on databases."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the settings that a system's pyproject.toml fills."""
    parser.addoption("--postgres", metavar="DIR", help="programs of another Postgres server to test on")
    parser.addini("system", "the name of the system that is tested")
    parser.addini("own_variables", "prefixes of the system's environment variables, cleared for every test", "args")
    parser.addini("allowed_skips", "reasons for which a test may be skipped where nothing else may", "linelist")
    parser.addini("server_groups", "fixtures whose tests stay together on one worker", "args")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the markers."""
    for line in (
        "full: takes long, so only make soak runs it",
        "soak: kills, faults or fuzz; make soak runs it at full counts",
        "database: says something about a Postgres version, so make check runs it on the oldest one, too",
    ):
        config.addinivalue_line("markers", line)
    _allowed_skips.extend(config.getini("allowed_skips"))
    is_controller = bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")
    if not is_controller:  # else its workers would end with the terminal
        for number in set(STOPPING_SIGNALS) - set(heard_signals()):
            signal.signal(number, lambda *_: None)  # is no heritage: who is started hears it, under nohup too
        _read_services_of_aws_once()


def _read_services_of_aws_once() -> None:
    """Let all sessions of boto3 share what they read of each service; by itself each reads a tenth of a second."""
    with suppress(ImportError):
        import botocore.session  # noqa: PLC0415 - few systems have it

        botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip full counts in a short run, and keep the tests of one server on one worker."""
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason=NOT_FULL))
        for group in config.getini("server_groups"):
            if group in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(group))
                break


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped for want of something."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr)
        if not any(allowed in reason for allowed in _allowed_skips):
            _skipped.append(report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker counted."""
    COUNTS.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped where nothing may skip; hand a worker's counts to the main process."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["counts"] = COUNTS
    elif os.environ.get("ETL_NO_SKIPS") == "1" and _skipped:
        session.config.get_terminal_writer().line(f"\nskipped where nothing may skip: {', '.join(_skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the one line of a full run: the system, how it ended, from which seed, and what was done how often."""
    if FULL:
        stats = terminalreporter.stats
        bad = len(stats.get("failed", [])) + len(stats.get("error", []))
        counted = "; ".join(f"{what} {count}" for what, count in sorted(COUNTS.items()))
        terminalreporter.write_line(
            f"{config.getini('system')}: {len(stats.get('passed', []))} passed, {bad} failed, "
            f"{time.monotonic() - _started:.0f} s, SEED={SEED}; {counted}"
        )


@pytest.fixture(autouse=True)
def clean_environment(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of every test."""
    prefixes = ("DB_", "PG", *pytestconfig.getini("own_variables"))
    for name in list(os.environ):
        if name.startswith(prefixes) and name != "AWS_CA_BUNDLE":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A private server for the session."""
    home = make_server_home("postgres")
    binaries = request.config.getoption("--postgres")
    server = EmbeddedServer(home, Path(binaries) if binaries else None, settings=SERVER_SETTINGS)
    try:
        server.ensure_running()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedServer) -> Iterator[Databases]:
    """The databases on the session's server."""
    made = Databases(postgres)
    yield made
    made.close()


@pytest.fixture(scope="session")
def schema_files() -> tuple[Path, ...]:
    """What a fresh database holds; a system overrides it."""
    return (META_SCHEMA,)


@pytest.fixture
def database(databases: Databases, schema_files: tuple[Path, ...]) -> Iterator[DatabaseSettings]:
    """A fresh database with the system's schemas."""
    with databases.fresh(schema_files) as made:
        yield made


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[DatabaseSettings]:
    """A fresh database without any schema."""
    with databases.fresh() as made:
        yield made


@pytest.fixture
def connection(database: DatabaseSettings) -> Iterator[Connection]:
    """A connection to the test's database, for looking at what the code under test has done."""
    with closing(connect(database, "test")) as opened:
        opened.autocommit = True
        yield opened


@pytest.fixture
def server_home() -> Iterator[Path]:
    """A folder that a server's unprivileged user can reach."""
    home = Path(tempfile.mkdtemp(prefix="etl-test-faults-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    """A logger whose lines caplog sees."""
    caplog.set_level(logging.DEBUG, logger="test")
    return logging.getLogger("test")
