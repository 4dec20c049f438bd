"""What the scripts on AWS Glue share: in come Glue's arguments, out goes a published run and an exit code.

The configuration is the one that is deployed beside the scripts. A job that is started twice publishes an unchanged
source once. No bookmark is kept, so there is nothing to commit.
"""

from __future__ import annotations

import logging
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import boto3
from awsglue.utils import GlueArgumentError, getResolvedOptions
from pyspark.sql import SparkSession

from etlkit.errors import EXIT_CLEAN, EXIT_CONFIG, EXIT_FAILED, ConfigError, EtlError
from etlkit.logs import FILE_FORMAT, configure_logging
from warehouse.bronze import RunDone
from warehouse.catalog import Catalog
from warehouse.configuration import CONFIG_NAME, Configuration, DatasetConfig, GoldConfig, read_configuration
from warehouse.engines.spark_engine import SparkEngine
from warehouse.gold import GoldDone
from warehouse.naming import checked_run_id, crawler_names, new_run_id
from warehouse.targets.bucket import Bucket

NOW = "now"
COMMON_ARGUMENTS = ("dataset", "run_id", "bucket")


@dataclass(frozen=True)
class GlueJob:
    """A job under way: where it runs, and of which dataset."""

    session: boto3.Session
    bucket: Bucket
    configuration: Configuration
    run_id: str
    databases: dict[str, str]
    """The database of each layer, which Glue's arguments name."""

    def catalog(self, dataset: DatasetConfig | GoldConfig) -> Catalog:
        """Return the tables that Athena reads."""
        return Catalog(self.session.client("glue"), self.bucket, dataset, self.databases)

    @staticmethod
    def open_engine() -> SparkEngine:
        """Return the engine on Glue's own session."""
        return SparkEngine(SparkSession.builder.getOrCreate())


def deployed_configuration(bucket: Bucket, dataset: str) -> Configuration:
    """Return what is configured in the bucket for a dataset; ConfigError for one that is not there."""
    if dataset != Path(dataset).name:
        raise ConfigError(f"{dataset!r} is no dataset's name.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / dataset).mkdir()
        for file in (CONFIG_NAME, f"{dataset}/{CONFIG_NAME}"):
            try:
                bucket.download(f"etl/{file}", folder / file)
            except FileNotFoundError as error:
                raise ConfigError(f"{error}.", "Deploy the dataset.") from None
        return read_configuration(folder)


def run_job(arguments: Sequence[str], names: Sequence[str], body: Callable[[GlueJob, str], RunDone | GoldDone]) -> int:
    """Run a script's body with Glue's arguments; return the exit code of `python -m warehouse run`.

    Quarantined rows do not fail a job: they are counted in its log.
    """
    logger = configure_logging("warehouse", None, line_format=FILE_FORMAT)
    try:
        told = getResolvedOptions([*arguments], [*names])
        session = boto3.Session()
        bucket = Bucket(session, told["bucket"])
        dataset = told["dataset"]
        configuration = deployed_configuration(bucket, dataset)
        run_id = new_run_id(datetime.now(UTC)) if told["run_id"] == NOW else checked_run_id(told["run_id"])
        databases = {name.removesuffix("_database"): told[name] for name in names if name.endswith("_database")}
        _tell(body(GlueJob(session, bucket, configuration, run_id, databases), dataset), configuration, dataset, logger)
    except GlueArgumentError as error:
        logger.error("%s", error)  # noqa: TRY400 - its words say all
        return EXIT_CONFIG
    except EtlError as error:
        logger.error("%s", error)  # noqa: TRY400 - the same
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - whatever it is, a job's log is all that is left of it
        logger.error("the job failed; what was published before stays")  # noqa: TRY400 - the console takes no traceback
        for line in "".join(traceback.format_exception(error)).splitlines():
            logger.error("%s", line)  # noqa: TRY400 - the same, line by line
        return EXIT_FAILED
    return EXIT_CLEAN


def _tell(done: RunDone | GoldDone, configuration: Configuration, dataset: str, logger: logging.Logger) -> None:
    """Log how a run ended."""
    for line in done.lines:
        logger.info("%s", line)
    names = crawler_names(configuration.core, configuration.dataset(dataset)).values() if done.is_published else ()
    for name in names:
        logger.info("to let a crawler look, if one is wanted: aws glue start-crawler --name %s", name)
    logger.info("%s: %s", dataset, done.sentence)
