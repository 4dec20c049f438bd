"""make demo: the real pipeline against a local S3 endpoint and the private Postgres, on a generated bucket.

Everything is kept in `.local/demo` and the database `museum_demo`, so a second call finds nothing new.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import logging
import os
import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer
from tabulate import tabulate

from etlkit.console import run_plainly
from etlkit.errors import EXIT_CLEAN, EXIT_REJECTS
from etlkit.process import exit_process
from museum.demo.private_database import BATCH_DATABASE, begin_demo, looking_at, print_ways_on, shown
from museum.demo.samples import sample_objects
from museum.settings import PROJECT_DIR

BUCKET = "museum-sample"
DATA_DIR = PROJECT_DIR / ".local" / "demo"
ACCESS_KEY, SECRET_KEY = "SAMPLEACCESSKEY", "sample-secret-key"


def main() -> int:
    """Run the demo and return 0 when the pipeline loaded the sample."""
    begin_demo(BATCH_DATABASE)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    s3 = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    s3.start()
    endpoint = "http://{}:{}".format(*s3.get_host_and_port())
    try:
        client = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1").client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        objects = sample_objects()
        for key, body in objects.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
        print(f"A local S3 endpoint holds the bucket {BUCKET} with {len(objects)} objects, some dirty on purpose.\n")
        exit_code = run_pipeline(endpoint)
    finally:
        s3.stop()
    if exit_code not in (EXIT_CLEAN, EXIT_REJECTS):
        return exit_code
    meaning = "some records were rejected, on purpose" if exit_code == EXIT_REJECTS else "clean"
    print(f"exit code {exit_code}: {meaning}\n")
    with looking_at(BATCH_DATABASE) as cursor:
        cursor.execute(
            "select exhibition_name, department_name, reviews, average_rating, nearest_label, incidents "
            "from exhibition_rating order by average_rating desc nulls last, exhibition_name"
        )
        headers = ["exhibition", "department", "reviews", "average", "label", "incidents"]
        print(tabulate(cursor.fetchall(), headers, tablefmt="simple", floatfmt=".4f", missingval="-"), end="\n\n")
    print_ways_on(BATCH_DATABASE, "make dashboard")
    return EXIT_CLEAN


def run_pipeline(endpoint: str) -> int:
    """Run pipeline.py --push as a user would; return its exit code."""
    arguments = [
        str(PROJECT_DIR / "pipeline.py"), "--push", "--bucket", BUCKET, "--endpoint-url", endpoint, "--data-dir",
        str(DATA_DIR), "--embedded", "--db-name", BATCH_DATABASE, "--log-file", str(DATA_DIR / "pipeline.log"),
    ]  # fmt: skip
    print(f"$ python {' '.join(shown(argument) for argument in arguments)}")
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    return subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode


if __name__ == "__main__":
    exit_process(run_plainly(main))
