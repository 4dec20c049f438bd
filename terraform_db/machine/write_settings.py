"""Write the machine's .env: what its environment says, and the passwords.

In come setup.sh's environment and, on standard input, a JSON object with two secrets: `logins`, a password for each,
and `kafka`, {} for none; out goes the file, replaced as a whole.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

COPIED = (
    "DB_HOST", "DB_PORT", "DB_NAME", "DB_SSLROOTCERT", "MUSEUM_BUCKET", "MUSEUM_KEY_PREFIX", "MUSEUM_NAME",
    "MUSEUM_TIMEZONE", "MUSEUM_OPENING_TIME", "MUSEUM_CLOSING_TIME", "BOOTSTRAP_SERVERS", "SECURITY_PROTOCOL",
    "SASL_MECHANISM", "KAFKA_TOPIC",
)  # fmt: skip


def main() -> None:
    """Write the file that the first argument names."""
    path = Path(sys.argv[1])
    secrets = json.load(sys.stdin)
    logins, kafka = secrets["logins"], secrets["kafka"]
    data = Path(os.environ["MUSEUM_DATA"])
    values = {
        **{name: os.environ.get(name, "") for name in COPIED},
        "DB_SSLMODE": "verify-full",
        "DB_USER": "museum_pipeline",
        "DB_PASSWORD": logins["museum_pipeline"],
        "MUSEUM_READER_USER": "museum_dashboard",
        "MUSEUM_READER_PASSWORD": logins["museum_dashboard"],
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
