"""Console and rotating file handlers whose lines never show a secret.

The console gets the outcome of things (INFO), the file everything (DEBUG) with tracebacks. Every line, the traceback's
included, passes through the redaction of known secret values and of credentials in URLs.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from etlkit.process import point_at_nothing

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FILE_BYTES = 5_000_000
LOG_FILE_BACKUPS = 5
FILE_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
REDACTED = "***"
BARE = {"bare": True}
"""As extra of a log call: a line that stands on the console without its level's name."""
_SHORTEST_SECRET = 4
_BEGIN_OF_WORD = r"(?:(?<!\w)|(?<=%[0-9A-Fa-f]{2})|(?<=\\[abfnrtv])|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4}))"
"""The letter that an escape ends with is no part of the word behind it."""

_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)\S+(?=@)", re.IGNORECASE)
_SECRET_WORDS = ("password", "secret", "token", "signature", "access", "authorization", "api_key", "api-key", "apikey")
"""Without one of these there is no named secret, and looking for them is quicker. Behind a slash it ends an address."""
_NAMED_SECRET = re.compile(
    r"(?P<before>(?<!/)\b[\w-]*(?:password|secret|token|signature|access[-_]?key|api[-_]?key)[\w-]*[\"']?\s*[=:]\s*"
    r"|\bauthorization[\"']?\s*[=:]\s*[\"']?(?:bearer|basic)\s+)(?P<value>'[^']*'|\"[^\"]*\"|[^\s;&)]+)",
    re.IGNORECASE,
)


class RedactingFormatter(logging.Formatter):
    """Formats a record, traceback included, and then blanks secrets out of the whole text."""

    def __init__(self, line_format: str, secrets: Iterable[str] = ()) -> None:
        """Keep the values to blank out."""
        super().__init__(line_format)
        self.secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with every secret replaced."""
        return _harmless(redact(super().format(record), self.secrets))


class ConsoleFormatter(RedactingFormatter):
    """The line format where there is one, else bare text with the level's name before anything graver than INFO.

    Tracebacks stay in the file.
    """

    def __init__(self, line_format: str | None, secrets: Iterable[str] = ()) -> None:
        """Keep the format."""
        super().__init__(line_format or "%(message)s", secrets)
        self._is_bare = line_format is None

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without a traceback."""
        text = record.getMessage()
        if not self._is_bare:
            record.message, record.asctime = text, self.formatTime(record)
            text = self.formatMessage(record)
        elif record.levelno >= logging.WARNING and not hasattr(record, "bare"):
            text = f"{record.levelname.lower()}: {text}"
        return _harmless(redact(text, self.secrets))


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers only
    """Writes to the console until its reader has gone (`... | head`); standard error stands in for a full one."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it so
        """Give up what takes no more, so that neither this line nor the exit fails on it."""
        error = sys.exc_info()[1]
        if isinstance(error, BlockingIOError):
            return  # full for the moment: this line is lost, the next may not be
        if not isinstance(error, OSError):
            super().handleError(record)
        elif _give_up(self.stream, error):
            self.emit(record)


def write(stream: TextIO | None, text: str, *, is_result: bool = False) -> None:
    """Write to a console; one that is closed, full, or whose reader has gone changes nothing about what was done.

    `untold` says so of standard output; of a reader that has gone only when the text is the command's result.
    """
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except BlockingIOError as error:  # full for the moment
        if is_result:
            _untold.append(error)
    except ValueError:
        return  # closed by somebody in this process
    except OSError as error:
        if stream is not None and _give_up(stream, error, is_result=is_result) and not is_result:
            write(stream, text)


_untold: list[OSError] = []


def untold() -> OSError | None:
    """Return why standard output did not take all that this command had for it, None when it did."""
    return _untold[0] if _untold else None


def forget_untold() -> None:
    """Begin a command."""
    _untold.clear()


def _give_up(stream: TextIO, error: OSError, *, is_result: bool = False) -> bool:
    """Point a stream at nothing, or standard output at standard error where somebody misses it; return whether."""
    point_at_nothing(stream)
    with suppress(OSError):
        stream.flush()  # what it held back is lost
    is_missed = stream.fileno() == 1 and not _untold and (is_result or not isinstance(error, BrokenPipeError))
    if is_missed:
        _untold.append(error)
        with suppress(OSError):
            os.dup2(2, 1)
    return is_missed


class FileHandler(RotatingFileHandler):
    """Rotates, and loses lines when its disk is full: the console says so once, and whatever else matters."""

    _formatted: tuple[logging.LogRecord, str] | None = None
    _is_told = False

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line, formatted once: the rotation asks for its length before it is written."""
        if self._formatted is None or self._formatted[0] is not record:
            self._formatted = record, super().format(record)
        return self._formatted[1]

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line and forget it, with all that its traceback holds."""
        try:
            super().emit(record)
        finally:
            self._formatted = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it so
        """Warn at the first line that is lost; logging's own way prints the arguments, secrets included."""
        if not self._is_told:
            self._is_told = True
            text = "log file %s takes no more lines (%s); the run goes on without them"
            logging.getLogger(record.name).warning(text, self.baseFilename, sys.exc_info()[1])


def _harmless(text: str) -> str:
    """Return text whose control characters and lone surrogates are escapes, so that no data steers a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text without the given secrets, passwords in URLs and values named like a secret."""
    if known := _pattern_of(tuple(secrets)):
        text = known.sub(REDACTED, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\g<before>{REDACTED}", text)
    lower = text.lower()
    return _NAMED_SECRET.sub(_without_value, text) if any(word in lower for word in _SECRET_WORDS) else text


@lru_cache(maxsize=8)
def _pattern_of(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return what finds any of the secrets: written out, as a literal, or as part of a URL; None without one."""
    forms = {form: _pattern_of_form(form, secret) for secret in secrets if secret for form in _forms(secret)}
    # longest first, and in one pass, so that one that contains another goes whole and none forms anew
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(forms[form] for form in longest_first)) if forms else None


def _forms(secret: str) -> set[str]:
    """Return the ways in which a secret may be written."""
    return {secret, repr(secret)[1:-1], quote(secret, safe="", errors="replace")}


def _pattern_of_form(form: str, secret: str) -> str:
    """Return what finds a secret: one that is a word as a whole only, else `***word` would betray the secret `pass`.

    A short one may be a word of any sentence, and is found in quotes only.
    """
    text = re.escape(form)
    if len(secret) < _SHORTEST_SECRET:
        return rf"(?<=['\"]){text}(?=['\"])"
    return rf"{_BEGIN_OF_WORD}{text}(?!\w)" if re.fullmatch(r"\w+", secret) else text


def _without_value(found: re.Match[str]) -> str:
    """Return a named secret without its value, but with its quotes."""
    quote = found["value"][0] if found["value"][0] in "'\"" else ""
    return f"{found['before']}{quote}{REDACTED}{quote}"


def configure_logging(
    logger_name: str,
    log_file: Path | None,
    *,
    level: str = "INFO",
    console: TextIO | None = None,
    secrets: Iterable[str] = (),
    line_format: str | None = None,
) -> logging.Logger:
    """Return the named logger with a console handler at level and a rotating file handler at DEBUG.

    With a line format both show it, the console's lines too. Calling it again replaces the handlers. A log file that
    cannot be opened is reported on the console and the run goes on without it, since a full disk must not keep a cron
    job from saying what went wrong.
    """
    logger = logging.getLogger(logger_name)
    close_handlers(logger)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    known = list(secrets)
    on_console = ConsoleHandler(console or sys.stdout)
    on_console.setLevel(level)
    on_console.setFormatter(ConsoleFormatter(line_format, known))
    logger.addHandler(on_console)
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            in_file = FileHandler(
                log_file, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILE_BACKUPS, encoding="utf-8", delay=False
            )
        except OSError as error:
            logger.warning("log file %s cannot be written (%s); logging to the console only", log_file, error.strerror)
        else:
            in_file.setLevel(logging.DEBUG)
            in_file.setFormatter(RedactingFormatter(line_format or FILE_FORMAT, known))
            logger.addHandler(in_file)
    return logger


def close_handlers(logger: logging.Logger) -> None:
    """Detach and close every handler of a logger."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        with suppress(OSError):
            handler.close()
