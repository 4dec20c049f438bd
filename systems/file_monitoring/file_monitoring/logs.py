"""Log lines as JSON objects, one a line, for whoever collects a pod's output.

Secrets are blanked out; no value of any file is in them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import datetime, timezone

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
        if record.exc_info and record.levelno < logging.ERROR:
            line["traceback"] = redact(self.formatException(record.exc_info), self._secrets)
        elif record.exc_info:
            kind, error, _ = record.exc_info
            line["error"] = redact(f"{kind.__name__ if kind else ''}: {error}", self._secrets)
        return json.dumps(line, default=str, ensure_ascii=True)


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
