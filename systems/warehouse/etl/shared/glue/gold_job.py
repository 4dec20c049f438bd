"""The gold job, as AWS Glue runs it, of every gold dataset that has no script of its own.

In come Glue's arguments, the configuration that lies beside the scripts, and the published tables that the dataset is
made of; out go its snapshot and its history in the same bucket, registered for Athena, by the same code as
`python -m warehouse run`, on Spark. A day that changes more than it may fails the job and publishes nothing: somebody
looks, and accepts it with the command.

Arguments: --dataset, --bucket, --silver_database, --gold_database, and --run_id as YYYYMMDD_HHMMSS or `now`; the day of
the snapshot is that of the run.
"""

from __future__ import annotations

import sys

from warehouse.glue_jobs import COMMON_ARGUMENTS, GlueJob, run_job
from warehouse.gold import GoldDone, GoldOptions, GoldRun

ARGUMENTS = (*COMMON_ARGUMENTS, "silver_database", "gold_database")


def run(job: GlueJob, name: str) -> GoldDone:
    """Carry a dataset's history on by a day; raises the kit's errors."""
    dataset = job.configuration.gold(name)
    return GoldRun(dataset, job.bucket, job.open_engine, GoldOptions(job.run_id), job.catalog(dataset)).run()


if __name__ == "__main__" and (code := run_job(sys.argv, ARGUMENTS, run)):
    sys.exit(code)
