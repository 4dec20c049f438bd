"""A museum to test with: a data folder, a bucket, a database, and the real scripts run in this process."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

import archive
import extract
import load
import museum.settings
import pipeline
import transform
from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

PROJECT_DIR = Path(__file__).resolve().parent.parent
SAMPLE_DATA = PROJECT_DIR.parent / "shared" / "data" / "museum"
NO_SAMPLE_DATA = "no sample data beside the project"
CANNOT_MOUNT = "this user or machine mounts no small disk"
NO_TERRAFORM = "terraform is not installed, so its own checks are left out"
NOT_ROOT = "only root sets a machine up"
NO_SYSTEMD = "systemd is not installed, so nobody can say whether it understands the units"
"""Reasons to skip a test, which pyproject.toml allows."""
HEADER = "at,site,val,type\n"
SCRIPTS = {"pipeline": pipeline, "extract": extract, "transform": transform, "load": load, "archive": archive}

NATURAL_KEYS = {
    "department": "select department_name from department order by 1",
    "floor": "select floor_name from floor order by 1",
    "exhibition": (
        "select exhibition_id, exhibition_code, exhibition_name, start_date, department_name, description "
        "from exhibition left join department using (department_id) order by 1"
    ),
    "floor_assignment": (
        "select exhibition_id, floor_name from floor_assignment join floor using (floor_id) order by 1, 2"
    ),
    "review": (
        "select bucket, key, position, exhibition_id, at, rating_id from review join event_source using (source_id) "
        "order by 1, 2, 3"
    ),
    "incident": (
        "select bucket, key, position, exhibition_id, at, incident_type_id "
        "from incident join event_source using (source_id) order by 1, 2, 3"
    ),
    "event_source": "select kind, bucket, key, content_hash, columns, rows from event_source order by 1, 2, 3",
}
OPEN_REJECTS = (
    "select source, position, raw, reasons from meta.rejected_records where resolved_at is null order by 1, 2"
)


MISCOUNTED_HOURS = """
    select 'review', exhibition_id, hour, rating_id, tally, presses
    from (
        select exhibition_id, hour, rating_id, sum(reviews) as tally
        from review_tally where hour >= archive_border() group by 1, 2, 3
    ) t
    full join (
        select exhibition_id, date_trunc('hour', at) as hour, rating_id, count(*) as presses
        from review group by 1, 2, 3
    ) p using (exhibition_id, hour, rating_id)
    where coalesce(tally, 0) <> coalesce(presses, 0)
    union all
    select 'archived', null, null, null, tally, reviews
    from (select coalesce(sum(reviews), 0) as tally from review_tally where hour < archive_border()) t
    cross join (select coalesce(sum(reviews), 0) as reviews from archived_month) a
    where tally <> reviews
    union all
    select 'incident', exhibition_id, hour, incident_type_id, tally, presses
    from (select exhibition_id, hour, incident_type_id, sum(incidents) as tally from incident_tally group by 1, 2, 3) t
    full join (
        select exhibition_id, date_trunc('hour', at) as hour, incident_type_id, count(*) as presses
        from incident group by 1, 2, 3
    ) p using (exhibition_id, hour, incident_type_id)
    where coalesce(tally, 0) <> coalesce(presses, 0)
"""


@dataclass
class Result:
    """How a script ended: exit code, its JSON object, and its lines."""

    exit_code: int
    figures: dict[str, Any]
    lines: list[str]

    @property
    def load(self) -> dict[str, Any]:
        return self.figures["load"]

    @property
    def last_line(self) -> str:
        return self.lines[-1]


@dataclass
class Museum:
    """A museum of a test's own."""

    data_dir: Path
    database: DatabaseSettings
    capsys: pytest.CaptureFixture[str]
    source_flags: list[str] = field(default_factory=list)

    @property
    def bucket_dir(self) -> Path:
        return self.data_dir / "bucket_data"

    @property
    def combined_dir(self) -> Path:
        return self.data_dir / "combined_data"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "run.log"

    def write(self, key: str, content: str | bytes) -> Path:
        """Put an object into the data folder, as if the extract had fetched it."""
        path = self.bucket_dir / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def kiosk(self, number: int, *rows: str) -> Path:
        return self.write(f"lmnh_hist_data_{number}.csv", HEADER + "".join(f"{row}\n" for row in rows))

    def exhibition(self, site: int, key: str | None = None, **changes: Any) -> Path:
        return self.write(key or f"lmnh_exhibition_number{site}.json", exhibition_json(site, **changes))

    def run(self, script: str, *flags: str) -> Result:
        """Run a root script with --json and return what it said."""
        folder = [] if script == "archive" else ["--data-dir", str(self.data_dir)]
        common = [*folder, "--log-file", str(self.log_file), "--json"]
        exit_code = SCRIPTS[script].main([*flags, *common])
        captured = self.capsys.readouterr()
        objects = captured.out.splitlines()
        assert len(objects) == 1, f"standard output is one JSON object, got: {captured.out}"
        return Result(exit_code, json.loads(objects[0]), captured.err.splitlines())

    def push(self, *flags: str) -> Result:
        """Run the pipeline over the local files into the database."""
        return self.run("pipeline", "--skip-extract", "--push", *self.database_flags, *flags)

    def extract(self, *flags: str) -> Result:
        """Run the extract from the test's bucket."""
        return self.run("extract", *self.source_flags, *flags)

    def run_all(self, *flags: str) -> Result:
        """Run the whole pipeline, from the test's bucket into its database."""
        return self.run("pipeline", "--push", *self.source_flags, *self.database_flags, *flags)

    @property
    def database_flags(self) -> list[str]:
        database = self.database
        return [
            "--db-host", database.db_host, "--db-port", str(database.db_port), "--db-name", database.db_name,
            "--db-user", database.db_user,
        ]  # fmt: skip

    def query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with closing(connect(self.database, "test")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def count(self, table: str) -> int:
        return int(self.query(f"select count(*) from {table}")[0][0])

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the museum's tables without the ids that the server gave."""
        return {name: self.query(statement) for name, statement in NATURAL_KEYS.items()}

    def tables_with_ids(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the museum's tables to the last bit."""
        return {name: self.query(f"select * from {name} order by 1, 2") for name in NATURAL_KEYS}

    def rejects(self) -> dict[tuple[str, str], tuple[bytes, list[str]]]:
        """Return the open rejects by (object's name, position)."""
        return {
            (source.rsplit("/", 1)[-1], position): (bytes(raw), reasons)
            for source, position, raw, reasons in self.query(OPEN_REJECTS)
        }


class Bucket:
    """A bucket on the local S3."""

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="y", region_name="us-east-1"
        )
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, content: str | bytes) -> None:
        body = content if isinstance(content, bytes) else content.encode()
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


def exhibition_json(site: int, **changes: Any) -> str:
    """Return an exhibition's file."""
    return json.dumps(
        {
            "EXHIBITION_NAME": f"Room {site}",
            "EXHIBITION_ID": f"EXH_{site:02}",
            "FLOOR": "1",
            "DEPARTMENT": "Zoology",
            "START_DATE": "01/07/19",
            "DESCRIPTION": 'A room, with "quotes", commas\nand lines',
            **changes,
        }
    )


def miscounted_hours(database: DatabaseSettings) -> list[tuple[Any, ...]]:
    """Return the hours whose counts are not those of the presses: none, whatever a test did to its database."""
    with closing(connect(database, "test")) as connection, connection.cursor() as cursor:
        cursor.execute(MISCOUNTED_HOURS)
        return cursor.fetchall()


def point_at(database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name a database."""
    for name in ("host", "port", "name", "user"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(database, f"db_{name}")))
    monkeypatch.setenv("DB_PASSWORD", database.db_password.get_secret_value())


def hide_env_file(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let no developer's .env leak into a test."""
    monkeypatch.setattr(museum.settings, "ENV_FILE", path)
