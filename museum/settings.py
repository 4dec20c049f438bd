"""Every setting of the museum: flags win over the environment, the environment over `.env` in the project's folder.

`USERNAME` and `PASSWORD` are the founding names of the Kafka login, but many systems set `USERNAME` themselves; so for
these two the `.env` file wins over the environment, and `KAFKA_USERNAME` and `KAFKA_PASSWORD` win over both.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, FiniteFloat, SecretStr, field_validator, model_validator

from etlkit.logs import LOG_LEVELS
from etlkit.postgres import Schema
from etlkit.settings import AwsSettings, DatabaseSettings, Settings, is_loopback
from museum.kiosk import EARLIEST, Rules

PROJECT_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = PROJECT_DIR / ".env"
SQL = PROJECT_DIR / "sql"
SCHEMA_FILE = PROJECT_DIR / "schema.sql"
ROLES_FILE = PROJECT_DIR / "roles.sql"
SCHEMA = Schema("museum", 6, "python load.py --apply-schema", "review")
BUCKET_DIR, COMBINED_DIR = "bucket_data", "combined_data"
ARCHIVED_FILE = "lmnh_reviews_{month}.csv"
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LARGEST_PORT = 65_535
SHORTEST_PASSWORD = 12


class MuseumDatabase(DatabaseSettings):
    """Where the museum's Postgres is."""

    embedded_database = "museum"


class MuseumSettings(AwsSettings):
    """Where the museum's data comes from, where it lies, and its rules."""

    museum_bucket: str = Field(default="sigma-resources-museum", min_length=3)
    museum_endpoint_url: str | None = None
    museum_key_prefix: str = Field(
        default="lmnh", min_length=1, pattern="^[A-Za-z0-9-]+$", description="letters, digits and hyphens, e.g. lmnh"
    )
    museum_archive: str | None = Field(
        default=None,
        pattern=r"^s3://[A-Za-z0-9._-]{3,63}/([A-Za-z0-9!_.*'()-]+/)*$",
        description="a bucket and the beginning of its keys, e.g. s3://lmnh-archive/reviews/",
    )
    museum_data_dir: Path = PROJECT_DIR
    museum_combined_csv: bool = Field(default=True, description="true or false")
    museum_timezone: str = Field(default="Europe/London", description="a time zone, e.g. Europe/London")
    museum_opening_time: time = Field(default=time(8, 45), description="a local time, e.g. 08:45")
    museum_closing_time: time = Field(default=time(18, 15), description="a local time, e.g. 18:15")
    museum_reject_out_of_hours: bool = Field(default=False, description="true or false")
    museum_live_reject_out_of_hours: bool = Field(default=True, description="true or false")
    museum_live_create_time: bool = Field(default=False, description="true or false")
    museum_future_tolerance_seconds: FiniteFloat = Field(5, ge=0, le=86_400, description="a number from 0 to 86400")
    museum_earliest_date: date = Field(default=EARLIEST, description="a date, e.g. 2000-01-01")
    museum_max_rejects: str | None = Field(
        default=None, pattern=r"^(\d+|\d+(\.\d+)?%)$", description="a number or a percentage, e.g. 100 or 5%"
    )
    museum_log_file: Path = PROJECT_DIR / "pipeline.log"
    museum_live_log_file: Path = PROJECT_DIR / "consumer.log"
    museum_dashboard_log_file: Path = PROJECT_DIR / "dashboard.log"
    museum_log_level: str = Field(
        default="INFO", pattern="^(" + "|".join(LOG_LEVELS) + ")$", description="one of " + ", ".join(LOG_LEVELS)
    )

    @field_validator("museum_bucket")
    @classmethod
    def _bucket_name(cls, value: str) -> str:
        """Take a bucket's address for its name."""
        name = value.removeprefix("s3://").rstrip("/")
        if "/" in name and not name.startswith("arn:"):
            raise ValueError("only the bucket's name; the keys begin with MUSEUM_KEY_PREFIX")
        return name

    @field_validator("museum_timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        """Refuse a zone that the system does not know."""
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("not a time zone; an example is Europe/London") from error
        return name

    @field_validator("museum_opening_time", "museum_closing_time")
    @classmethod
    def _local_time(cls, value: time) -> time:
        """Refuse an offset: opening hours are local."""
        if value.tzinfo is not None:
            raise ValueError("opening hours are local times without an offset, e.g. 08:45")
        return value

    @model_validator(mode="after")
    def _archive_apart_from_the_kiosks_files(self) -> MuseumSettings:
        """Refuse an archive whose files the extract would take for kiosk files."""
        kiosk_files = f"s3://{self.museum_bucket}/{self.museum_key_prefix}"
        if f"{self.museum_archive}{ARCHIVED_FILE}".startswith(kiosk_files):
            raise ValueError("MUSEUM_ARCHIVE lies among the objects of MUSEUM_BUCKET that begin with MUSEUM_KEY_PREFIX")
        return self

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> MuseumSettings:
        """Refuse hours that hold no moment."""
        if self.museum_opening_time >= self.museum_closing_time:
            raise ValueError("MUSEUM_OPENING_TIME must lie before MUSEUM_CLOSING_TIME")
        return self

    @property
    def bucket_dir(self) -> Path:
        """Return where the objects are mirrored."""
        return self.museum_data_dir.absolute() / BUCKET_DIR

    @property
    def combined_dir(self) -> Path:
        """Return where the combined files go."""
        return self.museum_data_dir.absolute() / COMBINED_DIR

    @property
    def rules(self) -> Rules:
        """Return the settings that decide about a file's row."""
        zone = ZoneInfo(self.museum_timezone)
        hours = self.museum_opening_time, self.museum_closing_time
        return Rules(zone, *hours, self.museum_reject_out_of_hours, self.museum_earliest_date)

    @property
    def live_rules(self) -> Rules:
        """Return the settings that decide about a live message."""
        return replace(self.rules, reject_out_of_hours=self.museum_live_reject_out_of_hours)

    def is_too_many(self, rejected: int, judged: int) -> bool:
        """Tell whether a run with so many rejected of so many judged rows is refused: over N of them, or over P%."""
        limit = self.museum_max_rejects
        if limit is None:
            return False
        return rejected * 100 > float(limit[:-1]) * judged if limit.endswith("%") else rejected > int(limit)


class KafkaSettings(Settings):
    """The brokers, the topic and the group."""

    bootstrap_servers: str = Field(description="HOST:PORT, or several with commas")
    security_protocol: str = Field(default="PLAINTEXT", description="one of " + ", ".join(SECURITY_PROTOCOLS))
    sasl_mechanism: str | None = Field(default=None, description="one of " + ", ".join(SASL_MECHANISMS))
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    kafka_topic: str = Field(
        default="lmnh", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="letters, digits, dots, _ and -, e.g. lmnh"
    )
    kafka_group: str = Field(default="museum", min_length=1)
    kafka_instance_id: str | None = None
    kafka_session_timeout_seconds: FiniteFloat = Field(10, ge=6, le=300, description="a number from 6 to 300")
    museum_batch_size: int = Field(default=5_000, ge=1, le=100_000, description="a number from 1 to 100000")
    museum_linger_ms: int = Field(default=100, ge=1, le=250, description="a number from 1 to 250")

    @field_validator("security_protocol", "sasl_mechanism")
    @classmethod
    def _known_word(cls, word: str | None, info: Any) -> str | None:
        """Accept a protocol or mechanism in any case."""
        known = SECURITY_PROTOCOLS if info.field_name == "security_protocol" else SASL_MECHANISMS
        if word is not None and word.upper() not in known:
            raise ValueError("not one of " + ", ".join(known))
        return word.upper() if word else word

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_with_ports(cls, servers: str) -> str:
        """Refuse what cannot be an address, which the client library makes something else of."""
        for server in servers.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or "/" in host or not port.isdecimal() or not 0 < int(port) <= LARGEST_PORT:
                raise ValueError("not HOST:PORT")
        return servers

    @field_validator("kafka_ca_file")
    @classmethod
    def _readable_file(cls, path: Path | None) -> Path | None:
        """Refuse a certificate file that is not there, which the client library reports as a broker's failure."""
        if path is not None and not path.is_file():
            raise ValueError("no such file")
        return path

    @model_validator(mode="after")
    def _mechanism_where_asked_for(self) -> Self:
        """Refuse SASL without a mechanism."""
        if self.uses_sasl and not self.sasl_mechanism:
            needs = f"SECURITY_PROTOCOL {self.security_protocol} needs one of {', '.join(SASL_MECHANISMS)}"
            raise ValueError(f"SASL_MECHANISM is missing, {needs}")
        return self

    @property
    def uses_sasl(self) -> bool:
        """Tell whether the brokers ask who we are."""
        return self.security_protocol.startswith("SASL_")

    @property
    def shows_password(self) -> bool:
        """Tell whether the password crosses a network in clear text."""
        hosts = [server.strip().rpartition(":")[0].strip("[]") for server in self.bootstrap_servers.split(",")]
        is_plain = self.security_protocol == "SASL_PLAINTEXT" and self.sasl_mechanism == "PLAIN"
        return is_plain and not all(is_loopback(host) for host in hosts)


class KafkaCredentials(Settings):
    """The founding names of the credentials; `.env` before the environment."""

    prefers_env_file = True
    username: str | None = None
    password: SecretStr | None = None


class DashboardSettings(Settings):
    """The reader's login, and the address, port and password of the page."""

    museum_name: str = Field(default="Liverpool Museum of Natural History", min_length=1)
    museum_reader_user: str | None = None
    museum_reader_password: SecretStr | None = None
    museum_dashboard_address: str = Field(default="127.0.0.1", description="an IP address or localhost")
    museum_dashboard_port: int = Field(default=8501, ge=1, le=65535, description="a number from 1 to 65535")
    museum_dashboard_password: SecretStr | None = None
    museum_dashboard_login_hours: float = Field(default=12, gt=0, le=720, description="a number up to 720")
    museum_dashboard_refresh_seconds: float = Field(default=30, ge=1, le=3600, description="a number from 1 to 3600")

    @model_validator(mode="after")
    def _guarded_where_others_reach_it(self) -> DashboardSettings:
        """Refuse an open page on a network, and half a login."""
        password = self.museum_dashboard_password
        if password is not None and len(password.get_secret_value()) < SHORTEST_PASSWORD:
            raise ValueError(f"MUSEUM_DASHBOARD_PASSWORD must have at least {SHORTEST_PASSWORD} characters")
        if password is None and not self.is_loopback:
            raise ValueError(
                f"MUSEUM_DASHBOARD_ADDRESS {self.museum_dashboard_address} can be reached by others, "
                "so MUSEUM_DASHBOARD_PASSWORD must be set"
            )
        if bool(self.museum_reader_user) != bool(self.museum_reader_password):
            raise ValueError("MUSEUM_READER_USER and MUSEUM_READER_PASSWORD must be set together")
        return self

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine reaches the page."""
        return is_loopback(self.museum_dashboard_address)


EVERY_SETTING = (MuseumSettings, MuseumDatabase, KafkaSettings, KafkaCredentials, DashboardSettings)
PREFIXES = ("MUSEUM_", "DB_", "KAFKA_")
"""How a name begins that must be one of these settings."""
