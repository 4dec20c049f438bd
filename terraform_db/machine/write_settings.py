"""Write the machine's .env: what its environment says, and passwords that are made here once and stay here.

In come setup.sh's environment and, on standard input, the Kafka secret as JSON ({} for none); out goes the file,
replaced as a whole. A second time keeps the passwords, so that it changes what the settings changed and nothing else.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values

COPIED = (
    "DB_HOST", "DB_PORT", "DB_NAME", "MUSEUM_BUCKET", "MUSEUM_KEY_PREFIX", "MUSEUM_NAME", "MUSEUM_TIMEZONE",
    "MUSEUM_OPENING_TIME", "MUSEUM_CLOSING_TIME", "BOOTSTRAP_SERVERS", "SECURITY_PROTOCOL", "SASL_MECHANISM",
    "KAFKA_TOPIC",
)  # fmt: skip
PASSWORD_BYTES = 24


def main() -> None:
    """Write the file that the first argument names."""
    path = Path(sys.argv[1])
    kafka = json.load(sys.stdin)
    before = dotenv_values(path, interpolate=False) if path.exists() else {}
    data = Path(os.environ["MUSEUM_DATA"])
    values = {
        **{name: os.environ.get(name, "") for name in COPIED},
        "DB_USER": "museum_pipeline",
        "DB_PASSWORD": before.get("DB_PASSWORD") or secrets.token_urlsafe(PASSWORD_BYTES),
        "MUSEUM_READER_USER": "museum_dashboard",
        "MUSEUM_READER_PASSWORD": before.get("MUSEUM_READER_PASSWORD") or secrets.token_urlsafe(PASSWORD_BYTES),
        "KAFKA_USERNAME": str(kafka.get("username", "")),
        "KAFKA_PASSWORD": str(kafka.get("password", "")),
        "MUSEUM_DATA_DIR": str(data),
        "MUSEUM_LOG_FILE": str(data / "pipeline.log"),
        "MUSEUM_LIVE_LOG_FILE": str(data / "consumer.log"),
        "MUSEUM_DASHBOARD_LOG_FILE": str(data / "dashboard.log"),
    }
    unfinished = path.with_name(".env.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as file:
        file.writelines(f"{name}={quoted(name, value)}\n" for name, value in values.items() if value)
    unfinished.replace(path)


def quoted(name: str, value: str) -> str:
    """Return a value as .env keeps it; ends the program for what the file cannot hold."""
    if "${" in value or "\n" in value:
        sys.exit(f"{name} holds a line break or ${{, which .env would take for something else")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    main()
