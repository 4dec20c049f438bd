"""The museum's settings and the command-line flags that the root scripts share.

Flags win over the environment, the environment over `.env` in the project's folder.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from etlkit.console import add_console_flags
from etlkit.logs import LOG_LEVELS
from etlkit.postgres import Schema
from etlkit.settings import EMBEDDED_HOST, AwsSettings, DatabaseSettings, Settings, load_settings, secret_values
from museum.kiosk import EARLIEST, Rules
from museum.objects import BUCKET_DIR, COMBINED_DIR

PROJECT_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = PROJECT_DIR / ".env"
SCHEMA_FILE = PROJECT_DIR / "schema.sql"
ROLES_FILE = PROJECT_DIR / "roles.sql"
SCHEMA = Schema("museum", 4, "python load.py --apply-schema", "review")
EXIT_CODES = (
    "exit codes: 0 clean or nothing new; 1 failed or refused, nothing loaded; 2 usage or settings;\n"
    "3 loaded, some records rejected; 4 another run holds the lock; 5 done, but standard output did not take the\n"
    "outcome; 129/130/143 stopped by a signal"
)


class MuseumDatabase(DatabaseSettings):
    """Where the museum's Postgres is."""

    embedded_database = "museum"


class MuseumSettings(AwsSettings):
    """Where the museum's data comes from, where it lies, and its rules."""

    museum_bucket: str = Field(default="sigma-resources-museum", min_length=3)
    museum_endpoint_url: str | None = None
    museum_key_prefix: str = Field(
        default="lmnh", min_length=1, pattern="^[A-Za-z0-9-]+$", description="letters, digits and hyphens, e.g. lmnh"
    )
    museum_data_dir: Path = PROJECT_DIR
    museum_timezone: str = Field(default="Europe/London", description="a time zone, e.g. Europe/London")
    museum_opening_time: time = Field(default=time(8, 45), description="a local time, e.g. 08:45")
    museum_closing_time: time = Field(default=time(18, 15), description="a local time, e.g. 18:15")
    museum_reject_out_of_hours: bool = Field(default=False, description="true or false")
    museum_live_reject_out_of_hours: bool = Field(default=True, description="true or false")
    museum_live_create_time: bool = Field(default=False, description="true or false")
    museum_future_tolerance_seconds: float = Field(
        default=5, ge=0, le=86_400, allow_inf_nan=False, description="a number from 0 to 86400"
    )
    museum_earliest_date: date = Field(default=EARLIEST, description="a date, e.g. 2000-01-01")
    museum_max_rejects: str | None = Field(
        default=None, pattern=r"^(\d+|\d+(\.\d+)?%)$", description="a number or a percentage, e.g. 100 or 5%"
    )
    museum_log_file: Path = PROJECT_DIR / "pipeline.log"
    museum_live_log_file: Path = PROJECT_DIR / "consumer.log"
    museum_dashboard_log_file: Path = PROJECT_DIR / "dashboard.log"
    museum_log_level: str = Field(
        default="INFO", pattern="^(" + "|".join(LOG_LEVELS) + ")$", description="one of " + ", ".join(LOG_LEVELS)
    )

    @field_validator("museum_bucket")
    @classmethod
    def _bucket_name(cls, value: str) -> str:
        """Take a bucket's address for its name."""
        name = value.removeprefix("s3://").rstrip("/")
        if "/" in name and not name.startswith("arn:"):
            raise ValueError("only the bucket's name; the keys begin with MUSEUM_KEY_PREFIX")
        return name

    @field_validator("museum_timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        """Refuse a zone that the system does not know."""
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("not a time zone; an example is Europe/London") from error
        return name

    @field_validator("museum_opening_time", "museum_closing_time")
    @classmethod
    def _local_time(cls, value: time) -> time:
        """Refuse an offset: opening hours are local."""
        if value.tzinfo is not None:
            raise ValueError("opening hours are local times without an offset, e.g. 08:45")
        return value

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> MuseumSettings:
        """Refuse hours that hold no moment."""
        if self.museum_opening_time >= self.museum_closing_time:
            raise ValueError("MUSEUM_OPENING_TIME must lie before MUSEUM_CLOSING_TIME")
        return self

    @property
    def bucket_dir(self) -> Path:
        """Return where the objects are mirrored."""
        return self.museum_data_dir.absolute() / BUCKET_DIR

    @property
    def combined_dir(self) -> Path:
        """Return where the combined files go."""
        return self.museum_data_dir.absolute() / COMBINED_DIR

    @property
    def rules(self) -> Rules:
        """Return the settings that decide about a file's row."""
        return self._rules(reject_out_of_hours=self.museum_reject_out_of_hours)

    @property
    def live_rules(self) -> Rules:
        """Return the settings that decide about a live message."""
        return self._rules(reject_out_of_hours=self.museum_live_reject_out_of_hours)

    def _rules(self, *, reject_out_of_hours: bool) -> Rules:
        """Return the rules with this museum's zone and hours."""
        zone = ZoneInfo(self.museum_timezone)
        hours = self.museum_opening_time, self.museum_closing_time
        return Rules(zone, *hours, reject_out_of_hours, self.museum_earliest_date)


@dataclass(frozen=True)
class RejectLimit:
    """How many rejected rows a run may have: a number, a share of the judged rows, or any."""

    count: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str | None) -> RejectLimit:
        """Read `N` or `P%`; None is no limit."""
        if text is None:
            return cls()
        return cls(percent=float(text[:-1])) if text.endswith("%") else cls(count=int(text))

    def is_exceeded(self, rejected: int, judged: int) -> bool:
        """Tell whether a run with so many rejected of so many judged rows must be refused."""
        if self.count is not None:
            return rejected > self.count
        return self.percent is not None and rejected * 100 > self.percent * judged

    def __str__(self) -> str:
        """Return the limit as the user gives it."""
        return f"{self.percent:g}%" if self.percent is not None else str(self.count)


@dataclass(frozen=True)
class Command:
    """One invocation: the parsed flags and the settings that they, the environment and `.env` give."""

    museum: MuseumSettings
    database: DatabaseSettings | None
    run_id: UUID
    now: datetime
    dry_run: bool = False
    accept_shrink: bool = False
    skip_copies: bool = False
    as_json: bool = False
    flags: argparse.Namespace = field(default_factory=argparse.Namespace)
    others: tuple[Any, ...] = ()

    @property
    def log_file(self) -> Path:
        """Return this program's log file: two that rotate one file would lose each other's lines."""
        path: Path = getattr(self.museum, getattr(self.flags, "log_setting", "museum_log_file"))
        return path

    @property
    def latest_at(self) -> datetime:
        """Return the latest moment that is not yet the future."""
        return self.latest_at_of(self.now)

    def latest_at_of(self, now: datetime) -> datetime:
        """Return the latest moment that is not yet the future at another present, for a command that runs for long."""
        tolerance = timedelta(seconds=self.museum.museum_future_tolerance_seconds)
        return min(now.astimezone(UTC), datetime.max.replace(tzinfo=UTC) - tolerance) + tolerance

    @property
    def reject_limit(self) -> RejectLimit:
        """Return the limit of rejected rows."""
        return RejectLimit.parse(self.museum.museum_max_rejects)

    @property
    def secrets(self) -> list[str]:
        """Return every secret value of the settings, for the logs to blank out."""
        return secret_values((self.museum, self.database, *self.others))


def argument_parser(
    program: str, summary: str, examples: str, groups: tuple[str, ...], exit_codes: str = EXIT_CODES
) -> argparse.ArgumentParser:
    """Return a parser with the named groups of flags: files, source, database, load."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=summary,
        epilog=f"examples:\n{examples}\n{exit_codes}",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=118),
    )
    if "files" in groups:
        folders = f"{BUCKET_DIR}/ and {COMBINED_DIR}/"
        parser.add_argument("--data-dir", metavar="DIR", help=f"parent of {folders} (the project)")
    if "source" in groups:
        _add_source_flags(parser)
    if "database" in groups:
        _add_database_flags(parser)
    if "load" in groups:
        parser.add_argument("--dry-run", action="store_true", help="do everything, then roll back; figures say would")
        parser.add_argument("--max-rejects", metavar="N|P%", help="load nothing if more rows are rejected (no limit)")
        parser.add_argument("--accept-shrink", action="store_true", help="let an object lose over 20%% of its presses")
        parser.add_argument("--skip-copies", action="store_true", help="of objects with the same bytes take the first")
    parser.add_argument("--now", metavar="TIME", type=_moment, help="the present for the future check, ISO with offset")
    parser.add_argument("--run-id", metavar="UUID", type=UUID, help=argparse.SUPPRESS)
    add_console_flags(parser, "in the project's folder")
    return parser


def _add_source_flags(parser: argparse.ArgumentParser) -> None:
    """Add where the bucket is."""
    parser.add_argument("--bucket", metavar="NAME", help="the bucket (sigma-resources-museum)")
    parser.add_argument("--endpoint-url", metavar="URL", help="an S3 endpoint other than AWS")
    parser.add_argument("--access-key", metavar="KEY", help="better AWS_ACCESS_KEY: the process list shows flags")
    parser.add_argument("--secret-key", metavar="KEY", help="better AWS_SECRET_KEY: the process list shows flags")


def _add_database_flags(parser: argparse.ArgumentParser) -> None:
    """Add where the database is."""
    parser.add_argument("--embedded", action="store_true", help="use the suite's own private Postgres")
    parser.add_argument("--db-host", metavar="HOST", help="DB_HOST, a name, an address or a socket folder")
    parser.add_argument("--db-port", metavar="PORT", help="DB_PORT (5432)")
    parser.add_argument("--db-name", metavar="NAME", help="DB_NAME")
    parser.add_argument("--db-user", metavar="NAME", help="DB_USER")
    parser.add_argument("--db-password", metavar="WORD", help="better DB_PASSWORD: the process list shows flags")


def read_command(flags: argparse.Namespace, *, with_database: bool, others: tuple[type[Settings], ...] = ()) -> Command:
    """Return the command of parsed flags, with more settings where a script has its own.

    Raises ConfigError that names every missing and wrong setting in one message.
    """
    given = vars(flags)
    values = {
        "museum_bucket": given.get("bucket"),
        "museum_endpoint_url": given.get("endpoint_url"),
        "museum_data_dir": given.get("data_dir"),
        "museum_max_rejects": given.get("max_rejects"),
        given.get("log_setting", "museum_log_file"): given.get("log_file"),
        "museum_log_level": given.get("log_level"),
        "aws_access_key": given.get("access_key"),
        "aws_secret_key": given.get("secret_key"),
        "db_host": EMBEDDED_HOST if given.get("embedded") else given.get("db_host"),
        "db_port": given.get("db_port"),
        "db_name": given.get("db_name"),
        "db_user": given.get("db_user"),
        "db_password": given.get("db_password"),
        "bootstrap_servers": given.get("bootstrap_servers"),
        "kafka_topic": given.get("topic"),
        "kafka_group": given.get("group"),
        "kafka_instance_id": given.get("instance_id"),
        "museum_batch_size": given.get("batch_size"),
        "museum_linger_ms": given.get("linger_ms"),
        "museum_dashboard_address": given.get("address"),
        "museum_dashboard_port": given.get("port"),
    }
    known: tuple[type[Settings], ...] = (MuseumSettings, MuseumDatabase) if with_database else (MuseumSettings,)
    loaded = load_settings((*known, *others), values, ENV_FILE)
    return Command(
        museum=loaded[0],
        database=loaded[1] if with_database else None,
        run_id=given.get("run_id") or uuid4(),
        now=given.get("now") or datetime.now(UTC),
        dry_run=bool(given.get("dry_run")),
        accept_shrink=bool(given.get("accept_shrink")),
        skip_copies=bool(given.get("skip_copies")),
        as_json=flags.json,
        flags=flags,
        others=loaded[len(known) :],
    )


def secrets_on_command_line(flags: argparse.Namespace) -> list[str]:
    """Return the flags in use that show a secret in the process list."""
    names = ("db_password", "access_key", "secret_key")
    return [f"--{name.replace('_', '-')}" for name in names if getattr(flags, name, None)]


def _moment(text: str) -> datetime:
    """Read an aware ISO time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO time, e.g. 2026-01-31T12:00:00+00:00") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset, e.g. 2026-01-31T12:00:00+00:00")
    return moment
