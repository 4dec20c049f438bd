"""How the museum's programs start and end: the kit's session around a command and its logger."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import museum.settings
from dashboard.settings import DashboardSettings
from etlkit.console import Outcome, Session, run_session
from etlkit.logs import configure_logging
from etlkit.settings import Settings, unknown_settings
from museum.live.settings import KafkaCredentials, KafkaSettings
from museum.settings import (
    PROJECT_DIR,
    Command,
    MuseumDatabase,
    MuseumSettings,
    read_command,
    secrets_on_command_line,
)

LOGGER_NAME = "museum"
EVERY_SETTING = (MuseumSettings, MuseumDatabase, KafkaSettings, KafkaCredentials, DashboardSettings)
PREFIXES = ("MUSEUM_", "DB_", "KAFKA_")


@dataclass(kw_only=True)
class Stage(Session):
    """A museum program under way."""

    command: Command


def setup_logging(
    log_file: Path | None = PROJECT_DIR / "pipeline.log",
    level: str = "INFO",
    *,
    as_json: bool = False,
    secrets: Sequence[str] = (),
) -> logging.Logger:
    """Return the museum's logger: the console at level (stderr beside JSON), a rotating file at DEBUG."""
    console = sys.stderr if as_json else sys.stdout
    return configure_logging(LOGGER_NAME, log_file, level=level, console=console, secrets=secrets)


def run_stage(
    flags: argparse.Namespace,
    body: Callable[[Command, logging.Logger], Outcome],
    *,
    with_database: bool,
    others: tuple[type[Settings], ...] = (),
) -> int:
    """Run a script's body between settings and exit code; the last line says the outcome, the run and the log file."""

    def open_stage() -> Stage:
        command = read_command(flags, with_database=with_database, others=others)
        logger = setup_logging(
            command.log_file, command.museum.museum_log_level, as_json=command.as_json, secrets=command.secrets
        )
        for flag in secrets_on_command_line(flags):
            logger.warning("%s shows its value in the process list; set it in the environment or .env", flag)
        for sentence in unknown_settings(EVERY_SETTING, PREFIXES, museum.settings.ENV_FILE):
            logger.warning(sentence)
        return Stage(
            logger,
            command.secrets,
            museum.settings.ENV_FILE,
            f"{'Dry run' if command.dry_run else 'Run'} {command.run_id}, log {command.log_file}",
            {"run_id": command.run_id, "dry_run": command.dry_run, "log_file": command.log_file},
            command=command,
        )

    return run_session(open_stage, lambda stage: body(stage.command, stage.logger), as_json=flags.json)
