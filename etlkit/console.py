"""How every program starts and ends: settings, logger, body, outcome, last line or JSON object, exit code."""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

from etlkit.command import run_command
from etlkit.errors import (
    EXIT_CLEAN,
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_LOCKED,
    EXIT_REJECTS,
    EXIT_UNTOLD,
    ConfigError,
)
from etlkit.logs import BARE, LOG_LEVELS, close_handlers, configure_logging, forget_untold, redact, untold, write
from etlkit.process import SIGNAL_EXIT_BASE
from etlkit.settings import warning_of_readers

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
FAILURES = (EXIT_FAILED, EXIT_CONFIG, EXIT_LOCKED)


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    """Add one of several commands; its text is a sentence without capital and full stop."""
    return actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def add_console_flags(
    parser: argparse._ActionsContainer, log_file: str, file_setting: str = "log_file", level_setting: str = "log_level"
) -> None:
    """Add --log-file, --log-level and --json; `log_file` says where the log lies without the flag.

    The other two name the settings that the first two flags override.
    """
    parser.add_argument(
        "--log-file", metavar="FILE", type=Path, dest=file_setting, help=f"rotating log, with tracebacks ({log_file})"
    )
    parser.add_argument(
        "--log-level", choices=LOG_LEVELS, type=str.upper, dest=level_setting, help="of the console (INFO)"
    )
    parser.add_argument("--json", action="store_true", help="the outcome as one JSON object on stdout, logs on stderr")


@dataclass(frozen=True)
class Outcome:
    """How a program's body ended: its last line, the figures behind it, and what its exit code follows from."""

    sentence: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    has_new_rejects: bool = False
    stopped_by: int | None = None
    gravest: int = EXIT_CLEAN
    """The exit code of the worst part, of a body that does several things and goes on when one fails."""

    @property
    def exit_code(self) -> int:
        """Return the gravest, else 3 for new rejects, else 0; where SIGTERM is the orderly end it is 0, Ctrl-C 130."""
        if self.stopped_by is not None:
            return EXIT_CLEAN if self.stopped_by == signal.SIGTERM else SIGNAL_EXIT_BASE + self.stopped_by
        return EXIT_REJECTS if self.has_new_rejects and self.gravest not in FAILURES else self.gravest

    @property
    def level(self) -> int:
        """Return how grave the last line is."""
        if self.exit_code in FAILURES:
            return logging.ERROR
        return logging.WARNING if self.has_new_rejects or self.exit_code == EXIT_REJECTS else logging.INFO


@dataclass
class Session:
    """A program under way, between its settings and its exit code."""

    logger: logging.Logger
    secrets: Sequence[str]
    env_file: Path | None
    """The settings file that was looked at; others who may read it are warned of."""
    trailer: str
    """What ends the last line: the run and the log file."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What the JSON object holds beside the outcome, also when the body fails."""


Opened = TypeVar("Opened", bound=Session)


def run_session(
    open_session: Callable[[], Opened],
    body: Callable[[Opened], Outcome],
    *,
    as_json: bool,
    failure: str = "%s",
    console: TextIO | None = None,
) -> int:
    """Open a session, run the body, print the outcome as the last line (and as JSON) and return the exit code.

    `failure` is the form of a last line that tells an error. A ConfigError of `open_session`, before there is a log,
    goes to the console, or else to standard error. What standard output did not take is told there, too.
    """
    forget_untold()
    try:
        session = open_session()
    except ConfigError as error:
        return say_settings_error(error, as_json=as_json, failure=failure, console=console)

    def report(exit_code: int, message: str) -> None:
        message = redact(message, session.secrets)
        session.logger.error("%s", f"{failure % message} [exit {exit_code}] {session.trailer}".rstrip())
        if as_json:
            document = {"outcome": "failed", "exit_code": exit_code, "error": message}
            print_json({**document, **session.figures})

    def run() -> int:
        if session.env_file and (warning := warning_of_readers(session.env_file)):
            session.logger.warning("%s", warning)
        outcome = body(session)
        if as_json:
            word = "failed" if outcome.exit_code in FAILURES else "done"
            document = {"outcome": word, "exit_code": outcome.exit_code, **outcome.figures}
            print_json({**document, **session.figures})
        if outcome.sentence and untold() is None:
            session.logger.log(outcome.level, "%s", f"{outcome.sentence} {session.trailer}".rstrip(), extra=BARE)
        return told(outcome.exit_code, session.logger, outcome.sentence, session.trailer)

    try:
        return run_command(run, session.logger, report=report)
    finally:
        close_handlers(session.logger)


def run_plainly(body: Callable[[], int]) -> int:
    """Run the body of a program without settings and log file; return its exit code. An error is one line."""
    forget_untold()
    logger = configure_logging("etlkit", None, console=sys.stderr)
    return run_command(lambda: told(body(), logger), logger, report=lambda _code, message: logger.error(message))


def told(exit_code: int, logger: logging.Logger, done: str = "", trailer: str = "") -> int:
    """Return the exit code of what came to its end: 5 where standard output did not take what it was given."""
    error = untold()
    if error is None or exit_code not in (EXIT_CLEAN, EXIT_REJECTS):
        return exit_code
    but = f"{done} But standard" if done else "standard"
    line = f"{but} output could not be written: {error}. [exit {EXIT_UNTOLD}] {trailer}"
    logger.error(line.strip())
    return EXIT_UNTOLD


def say_settings_error(error: ConfigError, *, as_json: bool, failure: str = "%s", console: TextIO | None = None) -> int:
    """Say what is wrong with the settings, before there is a log; return the exit code."""
    text = redact(str(error))
    if as_json:
        print_json({"outcome": "failed", "exit_code": error.exit_code, "error": text})
    line = f"{failure % text} [exit {error.exit_code}]" if console else f"error: {text}"
    write(console or sys.stderr, f"{line}\n")
    return error.exit_code


def positive_count(text: str) -> int:
    """Read a flag's whole number from 1 on."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def positive_number(text: str) -> float:
    """Read a flag's number above 0."""
    with suppress(ValueError):
        if 0 < (number := float(text)) < float("inf"):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def interval_of(older_than: str) -> str:
    """Return the age of --older-than, such as 90d, as an interval that Postgres reads; ConfigError for another form."""
    found = re.fullmatch(r"([0-9]{1,5})([hdw])", older_than)
    if not found:
        raise ConfigError(f"--older-than is {older_than!r}, expected up to five digits and h, d or w, e.g. 90d.")
    return f"{found[1]} {_UNITS[found[2]]}"


def print_json(document: Mapping[str, Any]) -> None:
    """Print the one JSON object of a program on standard output."""
    write(sys.stdout, json.dumps(document, default=str, ensure_ascii=True) + "\n", is_result=True)
