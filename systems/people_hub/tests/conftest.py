"""Real servers for the hub's tests: a private Postgres and two OpenLDAP servers for the session, a REST stand-in.

--postgres=DIR takes another server's programs; ETL_FULL=1 runs full counts and ETL_NO_SKIPS=1 (CI) turns a test that
skips for want of a server into a failure.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hub_case import PEOPLE, Hub

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect
from etlkit.settings import DatabaseSettings
from people_hub import hub_settings
from people_hub.sample_sources import directories
from people_hub.sample_sources.directories import SampleDirectory
from people_hub.sample_sources.people import AD_BASE, MCOMMUNITY_BASE, University
from people_hub.sample_sources.rest_sources import RestSources

FULL = os.environ.get("ETL_FULL") == "1"
TEMPLATE = "hub_template"
OURS = (
    "DATABASE_URL",
    "BATCH_SIZE",
    "MAX_RECORDS",
    "PROGRESS_EVERY",
    "LOG_",
    "MASS_DELETE",
    "DETAIL_MAX",
    "CREDENTIALS_",
)
PREFIXES = (*OURS, "DB_", "PG", "UM_", "TDX_", "AD_", "MCOMMUNITY_", "HUB_", "HTTP_", "LDAP_")

_numbers = itertools.count(1)
_skipped: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", metavar="DIR", help="programs of another Postgres server to test on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(600))
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="a full count; make check runs it"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("ETL_NO_SKIPS") == "1" and _skipped:
        session.config.get_terminal_writer().line(f"\nskipped where nothing may skip: {', '.join(_skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the developer's own settings out of every test."""
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setattr(hub_settings, "ENV_FILE", tmp_path / "no.env")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A private server for the session; durability is off, since its data is thrown away."""
    home = Path(tempfile.mkdtemp(prefix="etl-test-hub-"))
    home.chmod(0o755)
    binaries = request.config.getoption("--postgres")
    server = EmbeddedServer(
        home,
        Path(binaries) if binaries else None,
        settings=("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 50"),
    )
    try:
        server.ensure_running()
        with closing(connect(server.ensure_database(TEMPLATE), "template")) as connection:
            apply_schema(connection, hub_settings.META_FILE)
            apply_schema(connection, hub_settings.SCHEMA_FILE)
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def make_database(postgres: EmbeddedServer) -> DatabaseSettings:
    """Return a fresh database with the hub's schemas."""
    name = f"hub_{next(_numbers)}"
    settings = postgres.ensure_database("postgres")
    with closing(connect(settings, "create")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"create database {name} template {TEMPLATE}")
    return settings.model_copy(update={"db_name": name})


@pytest.fixture
def database(postgres: EmbeddedServer) -> Iterator[DatabaseSettings]:
    """A fresh database with the hub's schemas."""
    made = make_database(postgres)
    yield made
    postgres.drop_database(made.db_name)


@pytest.fixture
def empty_database(postgres: EmbeddedServer) -> Iterator[DatabaseSettings]:
    """A fresh database without any schema."""
    name = f"empty_{next(_numbers)}"
    yield postgres.ensure_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def university() -> University:
    return University(people=PEOPLE)


@pytest.fixture(scope="session")
def _rest_process() -> Iterator[RestSources]:
    process = RestSources()
    yield process
    process.stop()


@pytest.fixture
def rest(_rest_process: RestSources, university: University) -> RestSources:
    """The REST stand-in with a university's data, without faults."""
    _rest_process.fill(university)
    _rest_process.set_faults()
    _rest_process.set_settings(token_seconds=3600, limit_calls=0, limit_seconds=60, most_rows=1000, filters_dates=True)
    _rest_process.calls(forget=True)
    return _rest_process


@pytest.fixture
def hub(
    database: DatabaseSettings,
    rest: RestSources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Hub:
    """The hub with a database of its own, on the REST stand-in."""
    case = Hub(database, tmp_path, monkeypatch, capsys)
    case.set(**rest.environment(), HTTP_BACKOFF_SECONDS="0", HUB_DATA_FOLDER=str(tmp_path / "exports"))
    return case


def _needs_slapd() -> None:
    if directories.SLAPD is None:
        pytest.skip("slapd is not installed")


@pytest.fixture(scope="session")
def ldap_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="etl-test-ldap-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def mcommunity(ldap_home: Path, university: University, hub: Hub) -> Iterator[SampleDirectory]:
    """An OpenLDAP that plays MCommunity, with its cap of 350 entries."""
    _needs_slapd()
    directory = SampleDirectory(ldap_home / f"mcommunity{next(_numbers)}", MCOMMUNITY_BASE, is_capped=True)
    directory.load(university.mcommunity_entries())
    directory.start()
    hub.set(**directory.environment())
    yield directory
    directory.stop()


@pytest.fixture
def ad(ldap_home: Path, university: University, hub: Hub) -> Iterator[SampleDirectory]:
    """An OpenLDAP that plays the Active Directory."""
    _needs_slapd()
    directory = SampleDirectory(ldap_home / f"ad{next(_numbers)}", AD_BASE, is_capped=False)
    directory.load(university.ad_entries())
    directory.start()
    hub.set(**directory.environment())
    yield directory
    directory.stop()
