"""How the root scripts start and end: logging, the summary's last line or JSON object, and the exit code."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from etlkit.command import SIGNAL_EXIT_BASE, run_command
from etlkit.errors import EXIT_CLEAN, EXIT_REJECTS, ConfigError
from etlkit.logs import BARE, close_handlers, configure_logging, redact
from etlkit.settings import Settings
from museum.settings import Command, print_settings_error, read_command, secrets_on_command_line

LOGGER_NAME = "museum"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the sentence for the last line and the figures behind it."""

    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)
    has_new_rejects: bool = False
    stopped_by: int | None = None

    @property
    def exit_code(self) -> int:
        """Return 3 when this run rejected records, else 0; where SIGTERM is the orderly end it is 0, Ctrl-C 130."""
        if self.stopped_by is not None:
            return EXIT_CLEAN if self.stopped_by == signal.SIGTERM else SIGNAL_EXIT_BASE + self.stopped_by
        return EXIT_REJECTS if self.has_new_rejects else EXIT_CLEAN


def stage_logger(command: Command) -> logging.Logger:
    """Return the logger of one command: console as asked for, and the rotating log file."""
    return configure_logging(
        LOGGER_NAME,
        command.log_file,
        level=command.museum.museum_log_level,
        console=sys.stderr if command.as_json else sys.stdout,
        secrets=command.secrets,
    )


def run_stage(
    flags: argparse.Namespace,
    body: Callable[[Command, logging.Logger], Outcome],
    *,
    with_database: bool,
    others: tuple[type[Settings], ...] = (),
    setup_logging: Callable[[Command], logging.Logger] = stage_logger,
) -> int:
    """Run a script's body between settings and exit code; the last line says the outcome, the run and the log file."""
    try:
        command = read_command(flags, with_database=with_database, others=others)
    except ConfigError as error:
        return print_settings_error(error, as_json=flags.json)
    logger = setup_logging(command)
    trailer = f"{'Dry run' if command.dry_run else 'Run'} {command.run_id}, log {command.log_file}"

    def report(exit_code: int, message: str) -> None:
        message = redact(message, command.secrets)
        logger.error("%s [exit %s] %s", message, exit_code, trailer)
        if command.as_json:
            _print_json(command, {"outcome": "failed", "exit_code": exit_code, "error": message})

    def run() -> int:
        for flag in secrets_on_command_line(flags):
            logger.warning("%s shows its value in the process list; set it in the environment or .env", flag)
        outcome = body(command, logger)
        level = logging.WARNING if outcome.has_new_rejects else logging.INFO
        logger.log(level, "%s %s", outcome.sentence, trailer, extra=BARE)
        if command.as_json:
            _print_json(command, {"outcome": "done", "exit_code": outcome.exit_code, **outcome.figures})
        return outcome.exit_code

    try:
        return run_command(run, logger, report=report)
    finally:
        close_handlers(logger)


def _print_json(command: Command, figures: dict[str, Any]) -> None:
    """Print the one JSON object of a run on standard output."""
    document = {
        **figures,
        "run_id": command.run_id,
        "dry_run": command.dry_run,
        "log_file": command.log_file,
    }
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=True) + "\n")
