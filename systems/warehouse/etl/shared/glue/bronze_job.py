"""The bronze job, as AWS Glue runs it, of every dataset that has no script of its own.

In come Glue's arguments, the configuration that lies beside the scripts (etl/config.json, etl/{dataset}/config.json)
and the dataset's source; out go its tables in the same bucket, registered for Athena, by the same code as
`python -m warehouse run`, on Spark. A job that fails ends with the command's exit code and leaves what was published.

Arguments: --dataset, --bucket, --bronze_database, and --run_id as YYYYMMDD_HHMMSS or `now`. None is the beginning of
another one, as Glue takes abbreviations.
"""

from __future__ import annotations

import sys

from warehouse.bronze import BronzeRun, Options, RunDone
from warehouse.bucket_url import bucket_and_prefix
from warehouse.glue_jobs import COMMON_ARGUMENTS, GlueJob, run_job
from warehouse.sources.releases import key_of_secret
from warehouse.targets.bucket import Bucket

ARGUMENTS = (*COMMON_ARGUMENTS, "bronze_database")


def run(job: GlueJob, name: str) -> RunDone:
    """Download, keep, type, judge and publish a dataset; raises the kit's errors."""
    dataset = job.configuration.bronze(name)
    secret_id = dataset.nlm_release.secret_id if dataset.nlm_release else None
    options = Options(run_id=job.run_id, read_key=lambda: key_of_secret(job.session, secret_id) if secret_id else None)
    return BronzeRun(
        dataset,
        job.bucket,
        job.open_engine,
        lambda url: Bucket(job.session, *bucket_and_prefix(url)),
        options,
        job.catalog(dataset),
    ).run()


if __name__ == "__main__" and (code := run_job(sys.argv, ARGUMENTS, run)):
    sys.exit(code)
