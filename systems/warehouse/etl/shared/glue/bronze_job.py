"""The bronze job, as AWS Glue runs it, of every dataset that has no script of its own.

In come Glue's arguments, the configuration that lies beside the scripts (etl/config.json, etl/{dataset}/config.json)
and the dataset's source; out go its tables in the same bucket, by the same code as `python -m warehouse run`, on Spark.
A job that is started twice publishes an unchanged source once; one that fails ends with the command's exit code and
leaves what was published. No bookmark is kept, so there is nothing to commit. Quarantined rows do not fail a job: they
are counted in its log.

Arguments: --dataset, --bucket, --bronze_database, and --run_id as YYYYMMDD_HHMMSS or `now`. None is the beginning of
another one, as Glue takes abbreviations.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import boto3
from awsglue.utils import GlueArgumentError, getResolvedOptions
from pyspark.sql import SparkSession

from etlkit.errors import EXIT_CLEAN, EXIT_CONFIG, EXIT_FAILED, ConfigError, EtlError
from etlkit.logs import FILE_FORMAT, configure_logging
from warehouse.bronze import BronzeRun, Options
from warehouse.bucket_url import bucket_and_prefix
from warehouse.configuration import CONFIG_NAME, Configuration, read_configuration
from warehouse.engines.spark_engine import SparkEngine
from warehouse.naming import checked_run_id, crawler_names, new_run_id
from warehouse.targets.bucket import Bucket

ARGUMENTS = ("dataset", "run_id", "bucket", "bronze_database")
NOW = "now"


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


def run(dataset_name: str, run_id: str, bucket_name: str, bronze_database: str, logger: logging.Logger) -> None:
    """Download, keep, type, judge and publish a dataset; raises the kit's errors."""
    session = boto3.Session()
    bucket = Bucket(session, bucket_name)
    configuration = deployed_configuration(bucket, dataset_name)
    dataset = configuration.bronze(dataset_name)
    options = Options(run_id=new_run_id(datetime.now(UTC)) if run_id == NOW else checked_run_id(run_id))
    done = BronzeRun(
        dataset,
        bucket,
        lambda: SparkEngine(SparkSession.builder.getOrCreate()),
        lambda url: Bucket(session, *bucket_and_prefix(url)),
        options,
    ).run()
    for line in done.lines:
        logger.info("%s", line)
    for crawler in crawler_names(configuration.core, dataset).values() if done.is_published else ():
        logger.info("to let a crawler fill %s: aws glue start-crawler --name %s", bronze_database, crawler)
    logger.info("%s: %s", dataset_name, done.sentence)


def main(arguments: list[str]) -> int:
    """Run the job and return its exit code."""
    logger = configure_logging("warehouse", None, line_format=FILE_FORMAT)
    try:
        told = getResolvedOptions(arguments, [*ARGUMENTS])
        run(told["dataset"], told["run_id"], told["bucket"], told["bronze_database"], logger)
    except GlueArgumentError as error:
        logger.error("%s", error)  # noqa: TRY400 - its words say all
        return EXIT_CONFIG
    except EtlError as error:
        logger.error("%s", error)  # noqa: TRY400 - the same
        return error.exit_code
    except Exception:
        logger.exception("the job failed; what was published before stays")
        return EXIT_FAILED
    return EXIT_CLEAN


if __name__ == "__main__" and (code := main(sys.argv)):
    sys.exit(code)
