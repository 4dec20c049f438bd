"""The settings: flags win over the environment, the environment over `.env` in the project's folder.

Dagster's own commands put `.env` of their working directory over the environment before any of this is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

import etlkit
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.postgres import Schema
from etlkit.settings import DatabaseSettings, Settings, is_loopback, load_settings

PROJECT_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = PROJECT_DIR / ".env"
SCHEMA_FILE = PROJECT_DIR / "schema.sql"
META_FILE = Path(etlkit.__file__).parent / "sql" / "meta.sql"
SCHEMA = Schema("binge_works", 1, "python -m binge_works init")
LAST_PAGE = 500
"""TMDB answers 400 for any later one, whatever `total_pages` says."""


class TmdbSettings(Settings):
    """How TMDB is asked."""

    tmdb_api_key: SecretStr
    tmdb_base_url: str = "https://api.themoviedb.org/3"
    tmdb_language: str = Field(
        default="en-US", pattern="^[a-z]{2}(-[A-Z]{2})?$", description="a language such as en-US"
    )
    tmdb_max_pages: int = Field(default=LAST_PAGE, ge=1, le=LAST_PAGE, description="a number from 1 to 500")
    tmdb_calls_per_second: int = Field(default=20, ge=1, le=50, description="a number from 1 to 50")
    tmdb_attempts: int = Field(default=6, ge=1, le=6, description="a number from 1 to 6")
    tmdb_backoff_seconds: float = Field(default=1, ge=0, le=60, description="a number of seconds up to 60")
    tmdb_timeout_seconds: float = Field(default=20, gt=0, le=600, description="a number of seconds up to 600")

    @field_validator("tmdb_api_key")
    @classmethod
    def _can_be_sent(cls, value: SecretStr) -> SecretStr:
        """Take what a header can carry; the value itself is never shown."""
        key = value.get_secret_value()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("expected TMDB's API key or its read access token, without blanks")
        return value

    @field_validator("tmdb_base_url")
    @classmethod
    def _is_safe_url(cls, value: str) -> str:
        """Take https anywhere and http on this machine only, since the key travels with every call."""
        parts = urlsplit(value)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if not is_safe or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("expected an https address (http on this machine only), without user and query")
        return value.rstrip("/")


class BingeSettings(Settings):
    """What a load does beside asking TMDB."""

    binge_raw_dir: Path = PROJECT_DIR / "raw_pages"
    binge_raw_days: int = Field(default=30, ge=1, le=36_500, description="a number of days from 1 to 36500")
    binge_track_metrics: bool = Field(default=False, description="true or false")
    binge_log_file: Path = PROJECT_DIR / "binge_works.log"

    @field_validator("binge_raw_dir")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        """Make it one that another process finds, whatever its working directory."""
        return value.expanduser().resolve()


class BingeDatabase(DatabaseSettings):
    """Where dimensions and history lie."""

    embedded_database: ClassVar[str | None] = "binge_works"


EVERY_SETTING: tuple[type[Settings], ...] = (BingeDatabase, TmdbSettings, BingeSettings)
PREFIXES = ("TMDB_", "BINGE_")


def load_binge_settings(classes: tuple[type[Settings], ...], flags: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return one instance of each class; ConfigError names every missing and every wrong setting in one line.

    A database on the suite's private server is started, and made where it is missing.
    """
    return tuple(
        embedded_database(group.db_name) if isinstance(group, DatabaseSettings) and group.is_embedded else group
        for group in load_settings(classes, flags, ENV_FILE)
    )


def embedded_database(name: str) -> DatabaseSettings:
    """Start the suite's own private server and return the database, which is made where it is missing."""
    suite = Path(etlkit.__file__).resolve().parent.parent
    return EmbeddedServer(default_home(suite)).ensure_database(name)
