"""A server that plays the sources, one that plays S3, Spark; a warehouse of its own, configured like the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.server import ThreadedMotoServer
from warehouse_case import Warehouse

from etlkit.testing.maven import copied_libraries
from warehouse import __main__ as command_line
from warehouse.sample_sources.server import SampleSources
from warehouse.targets.bucket import Bucket
from warehouse.warehouse_settings import PROJECT_DIR, SYSTEM_DIR

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest_plugins = ["etlkit.testing.plugin"]

BUCKET = "pp-dw-123456789012"
SMALL_SPARK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "4",
}
"""A JVM that lives for seconds has no time to be made fast, and a hundred rows need no 200 partitions."""

SAMPLE_DATA = PROJECT_DIR.parent / "shared" / "data" / "warehouse"


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no developer's .env leak into a test."""
    monkeypatch.setattr(command_line, "ENV_FILE", tmp_path / "no.env")


@pytest.fixture
def sources() -> Iterator[SampleSources]:
    """The sources, without any file yet."""
    with SampleSources() as server:
        yield server


@pytest.fixture
def warehouse(
    sources: SampleSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Warehouse:
    """A warehouse in a folder, whose sources are the sample ones."""
    return Warehouse(sources, tmp_path, monkeypatch, capsys)


@pytest.fixture
def sample_data() -> Path:
    """The real samples, where they lie beside the project."""
    if not SAMPLE_DATA.exists():
        pytest.skip("no sample data beside the project")
    return SAMPLE_DATA


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Moto's S3 over HTTP."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, below a prefix."""
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "a-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    session = boto3.Session()
    client = session.client("s3")
    client.create_bucket(Bucket=BUCKET)
    whole = Bucket(session, BUCKET)
    yield Bucket(session, BUCKET, "house/", lock_seconds=1)
    whole.delete([stored.key for stored in whole.stored("")])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def in_s3(warehouse: Warehouse, bucket: Bucket) -> Warehouse:
    """A warehouse whose target is the bucket."""
    warehouse.move_to(bucket)
    return warehouse


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def anywhere(request: pytest.FixtureRequest, warehouse: Warehouse) -> Warehouse:
    """A warehouse in a folder, and, at full counts or for those who ask for `EVERYWHERE`, one in a bucket."""
    if request.param == "s3":
        warehouse.move_to(request.getfixturevalue("bucket"))
    return warehouse


def spark_jars() -> Path:
    """Return the folder with the jars that Spark needs for S3; skips the test where Java or Maven is missing."""
    return copied_libraries(SYSTEM_DIR / "spark_jars" / "pom.xml", PROJECT_DIR / ".local" / "spark_jars", "Spark on S3")


def write_spark_defaults(folder: Path, **settings: str) -> str:
    """Write what Spark begins with; return the folder, for SPARK_CONF_DIR."""
    folder.mkdir(exist_ok=True)
    lines = [f"{name} {value}\n" for name, value in {**SMALL_SPARK, **settings}.items()]
    (folder / "spark-defaults.conf").write_text("".join(lines))
    return str(folder)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One Spark session for all tests, with S3A; they share a worker."""
    jars = spark_jars()
    from warehouse.engines.spark_engine import local_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", write_spark_defaults(tmp_path_factory.mktemp("spark")))
        session = local_session(jars)
    yield session
    session.stop()
