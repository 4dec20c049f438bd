"""Log lines as JSON objects, one a line, for whoever collects a pod's output.

Secrets are blanked out; no value of any file is in them.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import traceback
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from django.db import Error as DatabaseError

from etlkit.errors import EtlError
from etlkit.logs import ConsoleHandler, close_handlers, redact

TOLD = (
    "message_id", "receive_count", "bucket", "key", "monitoring_file_id", "run_id", "status", "score", "passed",
    "milliseconds", "address",
)  # fmt: skip
"""What a line may say beside its message."""


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Remember what is blanked out."""
        super().__init__()
        self._secrets = list(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage(), self._secrets),
        }
        for name in TOLD:
            if (value := getattr(record, name, None)) is not None:
                line[name] = redact(value, self._secrets) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1]:
            line["error"] = redact(words_of(record.exc_info[1]), self._secrets)
            line["traceback"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line, default=str, ensure_ascii=True)


def words_of(error: BaseException) -> str:
    """Return what an error says, in one line; of one that nobody expects the place, since its text may hold a value."""
    text = " ".join(str(error).split())
    if isinstance(error, EtlError):
        return text
    if isinstance(error, (DatabaseError, OSError, sqlite3.Error)):
        return f"{type(error).__name__}: {text}"
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" in {Path(place[0].filename).name}:{place[0].lineno}" if place else ""
    return f"unexpected {type(error).__name__}{where}"


def log_as_json(level: str, secrets: Iterable[str]) -> logging.Logger:
    """Send the monitor's and Django's log lines to standard error as JSON; return the monitor's logger."""
    handler = ConsoleHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets))
    for name in ("file_monitoring", "django", "py.warnings"):
        logger = logging.getLogger(name)
        close_handlers(logger)
        logger.addHandler(handler)
        logger.setLevel(level if name == "file_monitoring" else "WARNING")
        logger.propagate = False
    return logging.getLogger("file_monitoring")
