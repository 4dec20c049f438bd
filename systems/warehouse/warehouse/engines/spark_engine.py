"""Spark, as AWS Glue runs it: the same expressions, on files that all workers can read.

Glue brings its own session, which knows S3. A session on this machine reads S3 through Hadoop's S3A, whose jars
`make spark-jars` fetches; address and login are those of the target.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from warehouse.engines.engine import COMPRESSION, Engine
from warehouse.work_files import WorkFile

if TYPE_CHECKING:
    from ibis.expr import types as ir
    from pyspark.sql import SparkSession

    from warehouse.targets.bucket import Bucket

_CORRUPT = "_corrupt"
SESSION_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    # with pruning Spark counts the fields of a line only as far as it reads them
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    "spark.sql.parquet.compression.codec": COMPRESSION,
    # a time of day without a zone stays one
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    # dates before 1900 are as they are, not those of a calendar of Spark 2
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
}


class SparkEngine(Engine):
    """A Spark session, Glue's own or one on this machine."""

    name = "spark"
    needs_shared_files = True

    def __init__(self, session: SparkSession, settings: Mapping[str, str] | None = None) -> None:
        """Take a session, which is the caller's to stop, and what it needs to know of the target."""
        for name, value in {**SESSION_SETTINGS, **(settings or {})}.items():
            session.conf.set(name, value)
        self._session = session
        self._connection = ibis.pyspark.connect(session)
        self._views = 0

    def read_texts(self, work: WorkFile, location: str) -> ir.Table:
        """Return a work file as a table of texts; what Spark calls corrupt is left out, else it would pad and cut."""
        names = work.names
        frame = self._session.read.csv(
            _hadoop(location),
            schema=", ".join(f"{name} string" for name in (*names, _CORRUPT)),
            sep=work.delimiter,
            quote="",
            escape="",
            header=False,
            mode="PERMISSIVE",
            columnNameOfCorruptRecord=_CORRUPT,
            lineSep="\n",
        )
        return self._table(frame.filter(frame[_CORRUPT].isNull()).select(*names))

    def write_parquet(self, rows: ir.Table, location: str) -> None:
        """Write a folder."""
        self._connection.to_parquet(rows, _hadoop(location), compression=COMPRESSION)

    def read_parquet(self, location: str) -> ir.Table:
        """Return a folder as a table."""
        return self._table(self._session.read.parquet(_hadoop(location)))

    def read_files(self, locations: Sequence[str]) -> ir.Table:
        """Return Parquet files as a table."""
        return self._table(self._session.read.parquet(*map(_hadoop, locations)))

    def fetch(self, rows: ir.Table) -> list[dict[str, Any]]:
        """Return rows."""
        found: list[dict[str, Any]] = self._connection.to_pyarrow(rows).to_pylist()
        return found

    def stream(self, rows: ir.Table) -> Iterator[dict[str, Any]]:
        """Yield rows."""
        for batch in self._connection.to_pyarrow_batches(rows):
            yield from batch.to_pylist()

    def close(self) -> None:
        """Forget the views; the session is the caller's."""
        for number in range(self._views):
            self._session.catalog.dropTempView(f"warehouse_{number}")

    def _table(self, frame: Any) -> ir.Table:
        """Return a data frame as a table of Ibis."""
        name = f"warehouse_{self._views}"
        self._views += 1
        frame.createOrReplaceTempView(name)
        return self._connection.table(name)


def local_session(jars: Path) -> SparkSession:
    """Return a session on this machine's cores, with the jars of a folder, if it is there; Java 17 is needed."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra that one machine need not have

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    local = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": f"{jars}/*",
    }
    builder = SparkSession.builder.master("local[*]").appName("warehouse")
    for name, value in {**local, **SESSION_SETTINGS}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def s3a_settings(bucket: Bucket) -> dict[str, str]:
    """Return what S3A must know of a bucket; set once the session runs, since its command line is for all to see."""
    endpoint = bucket.client.meta.endpoint_url
    told = {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.endpoint": endpoint,
        "fs.s3a.endpoint.region": bucket.client.meta.region_name,
        "fs.s3a.path.style.access": str(not endpoint.endswith(".amazonaws.com")).lower(),
    }
    credentials = bucket.session.get_credentials()
    if credentials is None:
        return told
    login = credentials.get_frozen_credentials()
    provider = "TemporaryAWSCredentialsProvider" if login.token else "SimpleAWSCredentialsProvider"
    own = {"access": login.access_key, "secret": login.secret_key, "session": login.token}
    return {
        **told,
        "fs.s3a.aws.credentials.provider": f"org.apache.hadoop.fs.s3a.{provider}",
        **{f"fs.s3a.{name}.{'token' if name == 'session' else 'key'}": value for name, value in own.items() if value},
    }


def _hadoop(location: str) -> str:
    """Return a location as Hadoop reads it: a folder of this machine needs a scheme."""
    return location if "://" in location else f"file://{location}"
