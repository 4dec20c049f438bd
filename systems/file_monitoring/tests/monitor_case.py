"""One monitor under test: its servers, what is expected, what arrives, its commands as processes, its tables."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil

from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"
AGENCY = "riverton"
KEYS = {
    "aws_access_key_id": "sample",
    "aws_secret_access_key": "sample-secret-of-the-tests",
    "region_name": "us-east-1",
}
SMALL = {
    "columns": [
        {"name": "id", "type": "integer", "required": True, "unique": True, "min": 1},
        {"name": "name", "type": "string", "required": True},
    ]
}
GOOD = b"id,name\n1,a\n2,b\n"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the log's lines."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


class Monitor:
    """A monitor with servers of its own."""

    def __init__(self, database: DatabaseSettings, endpoint: str, folder: Path) -> None:
        number = f"{os.getpid()}-{next(_numbers)}"
        self.database, self.endpoint, self.folder = database, endpoint, folder
        self.s3 = boto3.client("s3", endpoint_url=endpoint, **KEYS)
        self.sqs = boto3.client("sqs", endpoint_url=endpoint, **KEYS)
        self.bucket, self.queue_name = f"bucket-{number}", f"queue-{number}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.dead_url = self.sqs.create_queue(QueueName=f"dead-{number}")["QueueUrl"]
        self.queue_url = self.sqs.create_queue(
            QueueName=self.queue_name,
            Attributes={
                "RedrivePolicy": json.dumps({"deadLetterTargetArn": self._arn(self.dead_url), "maxReceiveCount": "5"})
            },
        )["QueueUrl"]
        self.scratch = folder / "scratch"
        self.settings = {
            "DB_HOST": database.db_host,
            "DB_PORT": str(database.db_port),
            "DB_NAME": database.db_name,
            "DB_USER": database.db_user,
            "DB_PASSWORD": database.db_password.get_secret_value(),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY": KEYS["aws_access_key_id"],
            "AWS_SECRET_KEY": KEYS["aws_secret_access_key"],
            "SQS_QUEUE_URL": self.queue_url,
            "SCRATCH_DIR": str(self.scratch),
            "WORKER_POLL_SECONDS": "1",
        }
        self._connection = connect(database, "monitor's tests")
        self._connection.autocommit = True

    def close(self) -> None:
        self._connection.close()

    def again(self) -> Monitor:
        """Connect anew, to a server that was away."""
        self._connection = connect(self.database, "monitor's tests")
        self._connection.autocommit = True
        return self

    def _arn(self, url: str) -> str:
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    # --- what is expected and what arrives

    def expect(
        self,
        file_name: str = "f.csv",
        definition: Any = SMALL,
        *,
        slug: str = AGENCY,
        s3_url: str = "",
        is_active: bool = True,
    ) -> int:
        """Describe a file that is expected; return its id."""
        number = None
        if definition is not None:
            number = self.value(
                "insert into reporting.monitoring_file_schema_definition (name, definition, created_at, updated_at) "
                "values (%s, %s, now(), now()) returning id",
                f"definition {next(_numbers)}",
                json.dumps(definition),
            )
        return self.value(
            "insert into reporting.monitoring_file (s3_url, file_name, range, is_active, agency_slug, notify_slack, "
            "is_missing, schema_definition_id) values (%s, %s, '1.d', %s, %s, false, false, %s) returning id",
            s3_url,
            file_name,
            is_active,
            slug,
            number,
        )

    def put(self, key: str = f"{AGENCY}/f.csv", body: bytes = GOOD) -> str:
        """Put an object; return its ETag."""
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"].strip('"')

    def event(self, key: str = f"{AGENCY}/f.csv", *, at: str = "2026-01-10T10:15:00Z", **described: Any) -> str:
        """Return the message that S3 writes for an object."""
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": at,
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": self.bucket}, "object": {"key": key, **described}},
        }
        return json.dumps({"Records": [record]})

    def send(self, *bodies: str) -> None:
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start : start + 10])]
            self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)

    # --- commands

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DB_"))}
        return {**kept, **self.settings, **settings}

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, str(MANAGE), *arguments],
            env=self.environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **settings: str) -> Done:
        """Run a command to its end."""
        return finish(self.start(*arguments, **settings))

    def work(self, *arguments: str, **settings: str) -> Done:
        """Run the worker until no message is left."""
        return self.run("run_worker", "--once", *arguments, **{"WORKER_POLL_SECONDS": "0", **settings})

    def process(self, key: str = f"{AGENCY}/f.csv", *flags: str, **settings: str) -> Done:
        """Run process_file on an object, with --json."""
        return self.run("process_file", "--bucket", self.bucket, "--key", key, "--json", *flags, **settings)

    # --- what is there afterwards

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall()

    def value(self, statement: str, *values: Any) -> Any:
        return self.rows(statement, *values)[0][0]

    def runs(self) -> list[tuple[Any, ...]]:
        """Return file, date, hour, size and score of every run."""
        return self.rows(
            "select r.monitoring_file_id, r.run_date::text, r.run_hour, r.file_size, q.score "
            "from reporting.monitoring_file_run r left join reporting.monitoring_file_data_quality q "
            "on q.monitoring_file_run_id = r.id order by 1, 2, 3, 4"
        )

    def scores(self) -> list[int]:
        return [row[-1] for row in self.runs()]

    def metrics(self) -> dict[str, Any]:
        return self.value("select metrics from reporting.monitoring_file_data_quality order by id desc limit 1")

    def messages(self, url: str | None = None) -> tuple[int, int]:
        """Return how many messages a queue has, visible and invisible."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=url or self.queue_url, AttributeNames=names)["Attributes"]
        return int(told[names[0]]), int(told[names[1]])

    def dead(self) -> list[dict[str, Any]]:
        """Return every dead letter."""
        found = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.dead_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
        ).get("Messages"):
            found += messages
        return found

    def leftovers(self) -> list[str]:
        """Return the temporary files that are there."""
        if not self.scratch.exists():
            return []
        return sorted(str(path.relative_to(self.scratch)) for path in self.scratch.iterdir() if path.is_dir())


def finish(process: subprocess.Popen[str], seconds: float = 60) -> Done:
    """Wait for a command."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it does not end:\n{out}\n{err}") from None
    return Done(process.returncode, out, err)


def wait_until(condition: Any, what: str, seconds: float = 20) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.02)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children at once."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.communicate()
