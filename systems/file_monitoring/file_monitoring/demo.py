"""make demo-file_monitoring: the worker for real, on files good and bad.

S3 and SQS run on this machine, the founding tables lie in the database `file_monitoring_demo` of a private Postgres; it
begins anew each time.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin("make setup-file_monitoring")

import json
import logging
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer
from tabulate import tabulate

import etlkit
from etlkit.console import run_plainly
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_REJECTS
from etlkit.postgres import Connection, apply_schema, connect, only_value
from etlkit.process import exit_process
from etlkit.settings import DatabaseSettings, setting_names, stand_alone
from file_monitoring.monitor_settings import EVERY_SETTING, PREFIXES, PROJECT_DIR
from file_monitoring.sample_files import AGENCY, BUCKET, SHIFTS, STAFF, SampleFile, sample_files

DATABASE = "file_monitoring_demo"
SCHEMA_FILE = PROJECT_DIR / "tests" / "reporting_schema.sql"
REGION = "us-east-1"
PAGE_PASSWORD = "demo-password"  # noqa: S105 - of the demo's page alone
MOST_ROWS_SHOWN = 8


def main() -> int:
    """Run the demo and return 0 when every file has the score that it should have."""
    stand_alone(setting_names(EVERY_SETTING), PREFIXES)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the commands write to the same pipe in between
    server = EmbeddedServer(default_home(Path(etlkit.__file__).resolve().parents[1]))
    server.ensure_running()
    server.drop_database(DATABASE)
    database = server.ensure_database(DATABASE)
    aws = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    aws.start()
    try:
        host, port = aws.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        with closing(connect(database, "file_monitoring demo")) as connection:
            expect_files(connection)
        queue_url = make_bucket_and_queue(endpoint)
        environment = {**os.environ, **environment_of(database, endpoint, queue_url)}
        files = sample_files()
        arrive(endpoint, files)
        print(f"S3 and SQS on this machine: {len(files)} files lie in {BUCKET}, and one that nobody expects.\n")
        code = manage(environment, "run_worker", "--once", is_quiet=True)
        with closing(connect(database, "file_monitoring demo")) as connection:
            is_right = show_scores(connection, files)
        if code not in (EXIT_CLEAN, EXIT_REJECTS) or not is_right:
            return code or EXIT_FAILED
        show_failing_rows(environment, files[5])
    finally:
        aws.stop()
    print(f"\npsql:  {server.psql_command(DATABASE)}")
    print(f"page:  {page_command()}")
    print("The private Postgres keeps running; make stop ends it.")
    return EXIT_CLEAN


def environment_of(database: DatabaseSettings, endpoint: str, queue_url: str) -> dict[str, str]:
    """Return the settings by which the monitor finds the demo's servers."""
    return {
        "DB_HOST": database.db_host,
        "DB_PORT": str(database.db_port),
        "DB_NAME": database.db_name,
        "DB_USER": database.db_user,
        "DB_PASSWORD": database.db_password.get_secret_value(),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY": "SAMPLEACCESSKEY",
        "AWS_SECRET_KEY": "sample-secret-key",
        "SQS_QUEUE_URL": queue_url,
        "ALLOWED_BUCKETS": BUCKET,
    }


def client(service: str, endpoint: str) -> Any:
    """Return a client of the stand-in."""
    session: Any = boto3.Session()
    return session.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="sample",
        aws_secret_access_key="sample",  # noqa: S106
    )


def make_bucket_and_queue(endpoint: str) -> str:
    """Make the bucket, the queue that hears of its objects, and the queue of dead letters; return the queue's URL."""
    s3, sqs = client("s3", endpoint), client("sqs", endpoint)
    s3.create_bucket(Bucket=BUCKET)
    dead = sqs.create_queue(QueueName="file-monitoring-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "5"})
    url = str(sqs.create_queue(QueueName="file-monitoring", Attributes={"RedrivePolicy": policy})["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    return url


def expect_files(connection: Connection) -> None:
    """Make the founding tables, and describe the files that are expected."""
    apply_schema(connection, SCHEMA_FILE)
    with connection, connection.cursor() as cursor:
        for (
            name,
            definition,
            file_name,
        ) in (
            ("staff", STAFF, "staff_{YYYY}-{MM}-{DD}.csv"),
            ("staff, compressed", STAFF, "staff_{YYYY}-{MM}-{DD}.csv.gz"),
            ("shifts", SHIFTS, "shifts.xlsx"),
        ):
            cursor.execute(
                "insert into reporting.monitoring_file_schema_definition (name, definition, created_at, updated_at) "
                "values (%s, %s, now(), now()) returning id",
                (name, json.dumps(definition)),
            )
            cursor.execute(
                "insert into reporting.monitoring_file (s3_url, file_name, range, is_active, agency_slug, "
                "notify_slack, is_missing, schema_definition_id) values ('', %s, '1.d', true, %s, false, false, %s)",
                (file_name, AGENCY, only_value(cursor)),
            )


def arrive(endpoint: str, files: list[SampleFile]) -> None:
    """Put the files into the bucket, an hour apart as far as their runs are concerned: each has an event of its own."""
    s3, sqs = client("s3", endpoint), client("sqs", endpoint)
    url = sqs.get_queue_url(QueueName="file-monitoring")["QueueUrl"]
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    for hour, file in enumerate(files):
        etag = s3.put_object(Bucket=BUCKET, Key=file.key, Body=file.content)["ETag"]
        event = event_of(file.key, etag, len(file.content), f"2026-11-20T{hour:02}:15:00Z")
        sqs.send_message(QueueUrl=url, MessageBody=event)
    s3.put_object(Bucket=BUCKET, Key=f"{AGENCY}/holiday.jpg", Body=b"\xff\xd8\xff")
    sqs.send_message(QueueUrl=url, MessageBody=event_of(f"{AGENCY}/holiday.jpg", '"x"', 3, "2026-11-20T12:15:00Z"))
    sqs.send_message(QueueUrl=url, MessageBody="no JSON at all")


def event_of(key: str, etag: str, size: int, time: str) -> str:
    """Return the message that S3 writes when an object was created."""
    described = {"key": key, "size": size, "eTag": etag.strip('"')}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": time,
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": BUCKET}, "object": described},
    }
    return json.dumps({"Records": [record]})


def manage(environment: dict[str, str], *arguments: str, is_quiet: bool = False) -> int:
    """Run a command as a user would; return its exit code."""
    print(f"$ python manage.py {' '.join(arguments)}")
    program = [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments]
    done = subprocess.run(
        program, env=environment, check=False, stderr=subprocess.PIPE if is_quiet else None, text=True
    )
    for line in (done.stderr or "").splitlines():
        told = json.loads(line) if line.startswith("{") else {"level": "", "message": line}
        if told["level"] != "INFO":
            print(f"  {told['level']}: {told['message']} {told.get('key', '')}".rstrip())
    if is_quiet and done.stderr:
        print(f"  {told['message']}")
    return done.returncode


def show_scores(connection: Connection, files: list[SampleFile]) -> bool:
    """Print every file's score beside what it should be; return whether all are right."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select q.metrics -> 'source' ->> 'key', q.score, q.passed, q.deductions "
            "from reporting.monitoring_file_data_quality q"
        )
        found = {key: (score, passed, deductions) for key, score, passed, deductions in cursor.fetchall()}
    rows = []
    for file in files:
        score, passed, deductions = found.get(file.key, (None, None, {}))
        costs = ", ".join(f"{name} -{points}" for name, points in deductions.items() if points)
        rows.append((file.key, file.why, score, "passed" if passed else "failed", costs))
    print()
    print(tabulate(rows, ["object", "what it is", "score", "", "what it cost"], tablefmt="simple", missingval="none"))
    return [row[2] for row in rows] == [file.score for file in files]


def show_failing_rows(environment: dict[str, str], file: SampleFile) -> None:
    """Print which rows of a file failed, as --report writes them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "failed_rows.csv"
        print()
        manage(environment, "process_file", "--bucket", BUCKET, "--key", file.key, "--dry-run", "--report", str(report))
        print("failed_rows.csv:")
        for line in report.read_text().splitlines()[: MOST_ROWS_SHOWN + 1]:
            print(f"  {line}")


def page_command() -> str:
    """Return how to open the page on the demo's database."""
    return (
        f"DB_HOST=embedded DB_NAME={DATABASE} PAGE_PASSWORD={PAGE_PASSWORD} {sys.executable} "
        f"{PROJECT_DIR / 'manage.py'} runserver"
    )


if __name__ == "__main__":
    exit_process(run_plainly(main))
