"""The monitor's settings, from the environment and a `.env` file (docs in .env.example)."""

from __future__ import annotations

import os
from datetime import tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from etlkit.settings import AwsSettings, DatabaseSettings, Settings
from file_monitoring.scoring.limits import MIB, Limits

PROJECT_DIR = Path(__file__).resolve().parents[1]
ENV_FILE = Path(os.environ.get("ENV_FILE") or PROJECT_DIR / ".env")
PREFIXES = ("SQS_", "ALLOWED_", "TRIGGER_", "PAGE_", "MAX_", "VISIBILITY_", "SHUTDOWN_", "RUN_", "ENGINE_", "WORKER_")


SHORTEST_SECRET = 12
"""Nothing slows guesses down here, so nothing may be guessable."""
LONG_ENOUGH = f"{SHORTEST_SECRET} characters at least"


def _names(given: object) -> object:
    """Read names that commas part."""
    return tuple(name.strip() for name in given.split(",") if name.strip()) if isinstance(given, str) else given


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]


class MonitorSettings(Settings):
    """What every part of the monitor needs; all of it has a default."""

    django_secret_key: SecretStr | None = None
    allowed_hosts: Names = ("localhost", "127.0.0.1", "[::1]")
    trigger_api_token: SecretStr | None = Field(default=None, min_length=SHORTEST_SECRET, description=LONG_ENOUGH)
    page_password: SecretStr | None = Field(default=None, min_length=SHORTEST_SECRET, description=LONG_ENOUGH)
    aws_endpoint_url: str | None = None
    aws_region: str | None = None
    allowed_buckets: Names = ()
    max_file_bytes: int = Field(default=5 * 1024 * MIB, ge=1, description="a number of bytes from 1 on")
    max_unpacked_bytes: int = Field(default=10 * 1024 * MIB, ge=1, description="a number of bytes from 1 on")
    engine_memory_bytes: int = Field(default=140 * MIB, ge=100 * MIB, description="a number of bytes from 104857600 on")
    run_timezone: str = "UTC"
    has_schema_definition: bool = Field(default=True, description="true or false")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR"
    )
    scratch_dir: Path | None = None

    @field_validator("run_timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        """Refuse a zone that nobody knows."""
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name!r}") from error
        return name

    @property
    def zone(self) -> tzinfo:
        """Return the zone of run dates and hours."""
        return ZoneInfo(self.run_timezone)

    @property
    def limits(self) -> Limits:
        """Return what a file may cost."""
        return Limits(
            file_bytes=self.max_file_bytes,
            unpacked_bytes=self.max_unpacked_bytes,
            engine_bytes=self.engine_memory_bytes,
        )


class QueueSettings(Settings):
    """What the worker needs beside the rest."""

    sqs_queue_url: str
    sqs_dead_letter_url: str | None = None
    """Where a message goes at once that can never succeed; without it, it is logged and acknowledged."""
    visibility_timeout: int = Field(default=60, ge=2, le=43_200, description="seconds from 2 to 43200")
    worker_poll_seconds: int = Field(default=20, ge=0, le=20, description="seconds from 0 to 20")
    shutdown_grace: int = Field(default=25, ge=0, description="seconds from 0 on")
    worker_health_file: Path | None = None


EVERY_SETTING = (MonitorSettings, DatabaseSettings, QueueSettings, AwsSettings)
