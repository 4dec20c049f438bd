"""Real servers for the museum's tests: Apache Kafka, moto's S3, Chromium; the kit's plugin brings Postgres."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("archive_case", "live_case")

from apache_kafka import ApacheKafka, kafka_libraries
from archive_case import FIRST_ROWS, Archive
from dashboard_case import FLAGS, find_chromium
from live_case import Live
from museum_case import (
    NO_SAMPLE_DATA,
    PROJECT_DIR,
    SAMPLE_DATA,
    Bucket,
    Museum,
    hide_env_file,
    miscounted_hours,
)

from etlkit.settings import DatabaseSettings
from etlkit.testing import make_server_home

pytest_plugins = ["etlkit.testing.plugin"]

MUSEUM_SCHEMA = (PROJECT_DIR / "schema.sql",)
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def schema_files() -> tuple[Path, ...]:
    return MUSEUM_SCHEMA


@pytest.fixture(autouse=True)
def aws_environment(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 see no login and no machine of the developer's."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def database(database: DatabaseSettings, schema_files: tuple[Path, ...]) -> Iterator[DatabaseSettings]:
    """A fresh database with the museum's schema, whose hourly counts are right in the end whatever a test did."""
    yield database
    if schema_files == MUSEUM_SCHEMA:
        assert miscounted_hours(database) == [], "the hourly counts differ from the presses"


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
    libraries = kafka_libraries()
    home = make_server_home("kafka")
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


@pytest.fixture
def archive(museum: Museum, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A museum with nine presses of five months, and a bucket for its archive."""
    name = f"archive-{next(_numbers)}"
    for setting, value in (
        ("AWS_ACCESS_KEY", "AKIATESTTESTTEST"), ("AWS_SECRET_KEY", "very-secret-aws-key"),
        ("MUSEUM_ARCHIVE", f"s3://{name}/reviews/"), ("MUSEUM_ENDPOINT_URL", s3_endpoint),
    ):  # fmt: skip
        monkeypatch.setenv(setting, value)
    for site in (0, 1):
        museum.exhibition(site)
    museum.kiosk(1, *FIRST_ROWS)
    assert museum.push().exit_code == 0
    return Archive(museum, Bucket(name, s3_endpoint))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A real browser for the session."""
    program = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
