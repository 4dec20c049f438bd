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
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer
from tabulate import tabulate

from etlkit.console import run_plainly
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_REJECTS
from etlkit.postgres import apply_schema, connect
from etlkit.process import exit_process
from etlkit.settings import stand_alone
from museum.console import EVERY_SETTING, PREFIXES
from museum.sample_bucket import sample_objects
from museum.settings import PROJECT_DIR, SCHEMA_FILE

BUCKET = "museum-sample"
DATABASE = "museum_demo"
DATA_DIR = PROJECT_DIR / ".local" / "demo"
ACCESS_KEY, SECRET_KEY = "SAMPLEACCESSKEY", "sample-secret-key"


def main() -> int:
    """Run the demo and return 0 when the pipeline loaded the sample."""
    stand_alone(EVERY_SETTING, PREFIXES)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the pipeline writes to the same pipe in between
    s3 = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        count = fill_bucket(endpoint)
        print(f"A local S3 endpoint holds the bucket {BUCKET} with {count} objects, some of them dirty on purpose.\n")
        prepare_database(DATABASE)
        exit_code = run_pipeline(endpoint)
    finally:
        s3.stop()
    if exit_code not in (EXIT_CLEAN, EXIT_REJECTS):
        return exit_code
    meaning = "some records were rejected, on purpose" if exit_code == EXIT_REJECTS else "clean"
    print(f"exit code {exit_code}: {meaning}\n")
    show_ratings()
    return EXIT_CLEAN


def fill_bucket(endpoint: str) -> int:
    """Put the sample's objects into the bucket; return how many."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=BUCKET)
    objects = sample_objects()
    for key, body in objects.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    return len(objects)


def prepare_database(name: str) -> None:
    """Bring a demo's own database up to today's schema, so that an older clone's demo goes on."""
    settings = EmbeddedServer(default_home(PROJECT_DIR)).ensure_database(name)
    with closing(connect(settings, "museum demo")) as connection:
        apply_schema(connection, SCHEMA_FILE)


def run_pipeline(endpoint: str) -> int:
    """Run pipeline.py --push as a user would; return its exit code."""
    arguments = [
        "pipeline.py", "--push", "--bucket", BUCKET, "--endpoint-url", endpoint, "--data-dir", str(DATA_DIR),
        "--embedded", "--db-name", DATABASE, "--log-file", str(DATA_DIR / "pipeline.log"),
    ]  # fmt: skip
    print(f"$ python {' '.join(shown(argument) for argument in arguments)}")
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    program = [sys.executable, str(PROJECT_DIR / arguments[0]), *arguments[1:]]
    return subprocess.run(program, env=environment, check=False).returncode


def show_ratings() -> None:
    """Print the average rating of every exhibition, and how to look further."""
    server = EmbeddedServer(default_home(PROJECT_DIR))
    with closing(connect(server.ensure_database(DATABASE), "museum demo")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select exhibition_name, department_name, reviews, average_rating, nearest_label, incidents "
            "from exhibition_rating order by average_rating desc nulls last, exhibition_name"
        )
        headers = ["exhibition", "department", "reviews", "average", "label", "incidents"]
        print(tabulate(cursor.fetchall(), headers, tablefmt="simple", floatfmt=".4f", missingval="-"))
    flags = f"--embedded --db-name {DATABASE}"
    print(f"\nRejected rows:  {python_command()} -m etlkit rejects list {flags}")
    print(f"Run history:    {python_command()} -m etlkit runs list {flags}")
    print(f"psql:           {server.psql_command(DATABASE)}")
    print("Dashboard:      make dashboard")
    print("The private Postgres keeps running; make stop ends it.")


def shown(argument: str) -> str:
    """Return an argument as a person in the project's folder would type it."""
    return argument.removeprefix(f"{PROJECT_DIR}{os.sep}")


def python_command() -> str:
    """Return the interpreter as a person in the project's folder would type it."""
    return shown(str(Path(sys.executable)))


if __name__ == "__main__":
    exit_process(run_plainly(main))
