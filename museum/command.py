"""How the museum's programs start and end: flags and settings make a command, summaries of stages make its outcome.

A flag is named after the setting that it overrides (its `dest`), so nothing is translated.
"""

from __future__ import annotations

import argparse
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from etlkit.console import Outcome, Session, add_console_flags, run_session
from etlkit.logs import configure_logging
from etlkit.settings import (
    EMBEDDED_HOST,
    DatabaseSettings,
    Settings,
    load_settings,
    secret_values,
    setting_names,
    unknown_settings,
)
from museum import settings

LOGGER_NAME = "museum"
EXIT_CODES = (
    "exit codes: 0 clean or nothing new; 1 failed or refused, nothing loaded; 2 usage or settings;\n"
    "3 loaded, some records rejected; 4 another run holds the lock; 5 done, but standard output did not take the\n"
    "outcome; 129/130/143 stopped by a signal"
)
SOURCE_FLAGS = (
    ("--bucket", "NAME", "museum_bucket", "the bucket (sigma-resources-museum)"),
    ("--endpoint-url", "URL", "museum_endpoint_url", "an S3 endpoint other than AWS"),
    ("--access-key", "KEY", "aws_access_key", "better AWS_ACCESS_KEY: the process list shows flags"),
    ("--secret-key", "KEY", "aws_secret_key", "better AWS_SECRET_KEY: the process list shows flags"),
)
DATABASE_FLAGS = (
    ("--db-port", "PORT", "db_port", "DB_PORT (5432)"),
    ("--db-name", "NAME", "db_name", "DB_NAME"),
    ("--db-user", "NAME", "db_user", "DB_USER"),
    ("--db-password", "WORD", "db_password", "better DB_PASSWORD: the process list shows flags"),
)
SECRET_FLAGS = {"--db-password": "db_password", "--access-key": "aws_access_key", "--secret-key": "aws_secret_key"}


class Summary(ABC):
    """What a stage did: the lines that it logs, its figures for the run, and the outcome's sentence."""

    stage: ClassVar[str]

    @property
    def has_new_rejects(self) -> bool:
        """Tell whether this run rejected records."""
        return False

    @abstractmethod
    def lines(self) -> list[str]:
        """Return what is logged when the stage ends."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """Return the stage's part of the run's figures."""

    @abstractmethod
    def sentence(self) -> str:
        """Return the outcome of a run that ends with this stage."""


def outcome_of(*summaries: Summary) -> Outcome:
    """Return the outcome of a run of some stages; the last one speaks for it."""
    figures = {summary.stage: summary.figures() for summary in summaries}
    return Outcome(summaries[-1].sentence(), figures, summaries[-1].has_new_rejects)


@dataclass(frozen=True)
class Command:
    """One invocation: the parsed flags and the settings that they, the environment and `.env` give."""

    museum: settings.MuseumSettings
    database: DatabaseSettings | None
    run_id: UUID
    now: datetime
    flags: argparse.Namespace
    others: tuple[Any, ...] = ()

    @property
    def dry_run(self) -> bool:
        """Tell whether all work is to be rolled back."""
        return bool(getattr(self.flags, "dry_run", False))

    @property
    def latest_at(self) -> datetime:
        """Return the latest moment that is not yet the future."""
        return self.latest_at_of(self.now)

    def latest_at_of(self, now: datetime) -> datetime:
        """Return the latest moment that is not yet the future at another present, for a command that runs for long."""
        tolerance = timedelta(seconds=self.museum.museum_future_tolerance_seconds)
        return min(now.astimezone(UTC), datetime.max.replace(tzinfo=UTC) - tolerance) + tolerance

    @property
    def secrets(self) -> list[str]:
        """Return every secret value of the settings, for the logs to blank out."""
        return secret_values((self.museum, self.database, *self.others))


def argument_parser(
    program: str,
    summary: str,
    examples: str,
    groups: tuple[str, ...],
    *,
    exit_codes: str = EXIT_CODES,
    log_setting: str = "museum_log_file",
) -> argparse.ArgumentParser:
    """Return a parser with the named groups of shared flags: load, source, database, files."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=summary,
        epilog=f"examples:\n{examples}\n{exit_codes}",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=118),
    )
    parser.set_defaults(log_setting=log_setting)
    if "load" in groups:
        parser.add_argument("--dry-run", action="store_true", help="do everything, then roll back; figures say would")
        doubts = parser.add_argument_group("what a load accepts")
        limit = ("--max-rejects", "N|P%", "museum_max_rejects", "load nothing if more rows are rejected (no limit)")
        add_settings_flags(doubts, limit)
        doubts.add_argument("--accept-shrink", action="store_true", help="let an object lose over 20%% of its presses")
        doubts.add_argument("--skip-copies", action="store_true", help="of objects with the same bytes take the first")
    if "source" in groups:
        add_settings_flags(parser.add_argument_group("where the bucket is"), *SOURCE_FLAGS)
    if "database" in groups:
        database = parser.add_argument_group("where the database is")
        host = database.add_mutually_exclusive_group()
        private = "use the suite's own private Postgres"
        host.add_argument("--embedded", action="store_const", const=EMBEDDED_HOST, dest="db_host", help=private)
        add_settings_flags(host, ("--db-host", "HOST", "db_host", "DB_HOST, a name, an address or a socket folder"))
        add_settings_flags(database, *DATABASE_FLAGS)
    where = parser.add_argument_group("where and how it runs")
    if "files" in groups:
        folders = f"parent of {settings.BUCKET_DIR}/ and {settings.COMBINED_DIR}/ (the project)"
        add_settings_flags(where, ("--data-dir", "DIR", "museum_data_dir", folders))
    where.add_argument("--now", metavar="TIME", type=_moment, help="the present for the future check, ISO with offset")
    where.add_argument("--run-id", metavar="UUID", type=UUID, help=argparse.SUPPRESS)
    add_console_flags(where, "in the project's folder", log_setting, "museum_log_level")
    return parser


def add_settings_flags(group: argparse._ActionsContainer, *flags: tuple[str, str, str, str]) -> None:
    """Add flags that override settings, of (flag, metavar, setting, help) each."""
    for flag, metavar, setting, text in flags:
        group.add_argument(flag, metavar=metavar, dest=setting, help=text)


def read_command(flags: argparse.Namespace, *, with_database: bool, others: tuple[type[Settings], ...] = ()) -> Command:
    """Return the command of parsed flags; raises ConfigError that names every missing and wrong setting."""
    known = (settings.MuseumSettings, *((settings.MuseumDatabase,) if with_database else ()), *others)
    museum, *loaded = load_settings(known, vars(flags), settings.ENV_FILE)
    database = loaded.pop(0) if with_database else None
    return Command(museum, database, flags.run_id or uuid4(), flags.now or datetime.now(UTC), flags, tuple(loaded))


def setup_logging(
    log_file: Path | None = settings.PROJECT_DIR / "pipeline.log",
    level: str = "INFO",
    *,
    as_json: bool = False,
    secrets: Sequence[str] = (),
) -> logging.Logger:
    """Return the museum's logger: the console at level (stderr beside JSON), a rotating file at DEBUG."""
    console = sys.stderr if as_json else sys.stdout
    return configure_logging(LOGGER_NAME, log_file, level=level, console=console, secrets=secrets)


@dataclass(kw_only=True)
class MuseumSession(Session):
    """A museum program under way."""

    command: Command


def run_stage(
    flags: argparse.Namespace,
    body: Callable[[Command, logging.Logger], Outcome],
    *,
    with_database: bool,
    others: tuple[type[Settings], ...] = (),
) -> int:
    """Run a script's body between settings and exit code; the last line says the outcome, the run and the log file."""

    def open_session() -> MuseumSession:
        command = read_command(flags, with_database=with_database, others=others)
        log_file: Path = getattr(command.museum, flags.log_setting)  # two that rotate one lose each other's lines
        logger = setup_logging(log_file, command.museum.museum_log_level, as_json=flags.json, secrets=command.secrets)
        for flag in (flag for flag, setting in SECRET_FLAGS.items() if getattr(flags, setting, None)):
            logger.warning("%s shows its value in the process list; set it in the environment or .env", flag)
        for sentence in unknown_settings(setting_names(settings.EVERY_SETTING), settings.PREFIXES, settings.ENV_FILE):
            logger.warning(sentence)
        return MuseumSession(
            logger,
            command.secrets,
            settings.ENV_FILE,
            f"{'Dry run' if command.dry_run else 'Run'} {command.run_id}, log {log_file}",
            {"run_id": command.run_id, "dry_run": command.dry_run, "log_file": log_file},
            command=command,
        )

    return run_session(open_session, lambda session: body(session.command, session.logger), as_json=flags.json)


def _moment(text: str) -> datetime:
    """Read an aware ISO time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO time, e.g. 2026-01-31T12:00:00+00:00") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset, e.g. 2026-01-31T12:00:00+00:00")
    return moment
