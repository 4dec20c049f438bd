"""The hub's settings: flags win over the environment, the environment over `.env` in the project's folder."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

import etlkit
from etlkit import database_url
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.logs import LOG_LEVELS
from etlkit.postgres import Schema
from etlkit.settings import DatabaseSettings, Settings, is_loopback, load_settings, read_env_file, secret_values

PROJECT_DIR = Path(__file__).resolve().parent.parent
ENV_FILE = PROJECT_DIR / ".env"
SCHEMA_FILE = PROJECT_DIR / "schema.sql"
META_FILE = Path(etlkit.__file__).parent / "sql" / "meta.sql"
SCHEMA = Schema("people_hub", 3, "python -m people_hub init")
EMBEDDED_DATABASE = "people_hub"


class HubSettings(Settings):
    """Where the hub's database is, and how it works through its records."""

    database_url: SecretStr
    batch_size: int = Field(default=1000, ge=1, le=50_000, description="a number from 1 to 50000")
    max_records: int = Field(default=0, ge=0, description="a number; 0 means no limit")
    db_pool_size: int = Field(default=5, ge=1, le=100, description="a number from 1 to 100")
    db_max_overflow: int = Field(default=10, ge=0, le=100, description="a number from 0 to 100")
    progress_every: int = Field(default=50, ge=0, description="a number of records; 0 means no progress lines")
    mass_delete_percent: float = Field(default=10, ge=0, le=100, description="a number from 0 to 100")
    detail_max_age_days: float = Field(default=30, gt=0, le=36_500, description="a number of days up to 36500")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description=" or ".join(LOG_LEVELS))
    log_dir: Path = PROJECT_DIR / "logs"

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: Any) -> Any:
        """Take a level as people write it."""
        return value.upper() if isinstance(value, str) else value


class _TrustingSettings(Settings):
    """Settings of a source whose certificate may be one of an authority of the user's own."""

    @field_validator("http_ca_file", "mcommunity_ldap_ca_file", "ad_ca_file", check_fields=False)
    @classmethod
    def _is_certificate(cls, value: Path | None) -> Path | None:
        """Take a file with certificates only: later on it would fail like a network that is away."""
        if value is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
            except OSError as error:  # what is no certificate, too
                raise ValueError(f"expected a file with certificates in PEM form ({error})") from error
        return value


class HttpSettings(_TrustingSettings):
    """How both REST sources are asked."""

    http_timeout_seconds: float = Field(default=60, gt=0, le=3600, description="a number of seconds up to 3600")
    http_attempts: int = Field(default=6, ge=1, le=20, description="a number from 1 to 20")
    http_backoff_seconds: float = Field(default=1, ge=0, le=60, description="a number of seconds up to 60")
    http_ca_file: Path | None = None

    @field_validator("um_base_url", "um_oauth_url", "tdx_base_url", check_fields=False)
    @classmethod
    def _is_safe_url(cls, value: str) -> str:
        """Take https anywhere and http on this machine only, since secrets travel with every call."""
        parts = urlsplit(value)
        if parts.scheme == "https" and parts.hostname:
            return value.rstrip("/")
        if parts.scheme == "http" and is_loopback(parts.hostname or ""):
            return value.rstrip("/")
        raise ValueError("expected an https address")


class UmapiSettings(HttpSettings):
    """The university's API gateway."""

    um_base_url: str
    um_oauth_url: str
    um_category_id: str = "bf"
    um_client_key: SecretStr
    um_client_secret: SecretStr


_TDX_LOGINS = ({"tdx_beid", "tdx_web_services_key"}, {"tdx_username", "tdx_password"}, {"tdx_api_token"})


class TdxSettings(HttpSettings):
    """TeamDynamix."""

    tdx_base_url: str
    tdx_app_id: int = Field(ge=1, description="the number of the assets application")
    tdx_beid: SecretStr | None = None
    tdx_web_services_key: SecretStr | None = None
    tdx_username: str | None = None
    tdx_password: SecretStr | None = None
    tdx_api_token: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="a login: it, or TDX_USERNAME and TDX_PASSWORD, or TDX_BEID and TDX_WEB_SERVICES_KEY",
    )
    tdx_overlap_minutes: float = Field(default=10, ge=0, description="a number of minutes")

    @field_validator("tdx_api_token")
    @classmethod
    def _has_a_login(cls, value: SecretStr | None, before: ValidationInfo) -> SecretStr | None:
        """Ask for one of the three ways to log in, whole; as a field's rule, so that it is told with all the others."""
        has = {name for name, given in {**before.data, "tdx_api_token": value}.items() if given}
        if not any(way <= has for way in _TDX_LOGINS):
            raise ValueError("no login")
        return value


class LdapSettings(_TrustingSettings):
    """How a directory is asked; TLS is always on and always verified."""

    ldap_timeout_seconds: int = Field(default=60, ge=1, le=3600, description="a number of seconds from 1 to 3600")
    ldap_page_size: int = Field(default=1000, ge=1, le=5000, description="a number from 1 to 5000")

    @field_validator("mcommunity_ldap_server", "ad_server", check_fields=False)
    @classmethod
    def _is_bare_name(cls, value: str) -> str:
        """Take a name or an address alone: a scheme or a port in it would decide how it is spoken to."""
        if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", value):
            raise ValueError("expected a bare name or address, without scheme and port")
        return value


class McommunitySettings(LdapSettings):
    """The MCommunity directory."""

    mcommunity_ldap_server: str
    mcommunity_ldap_port: int = Field(default=636, ge=1, le=65535, description="a number from 1 to 65535")
    mcommunity_ldap_base: str
    mcommunity_ldap_user: str
    mcommunity_ldap_password: SecretStr
    mcommunity_ldap_ca_file: Path | None = None


class ActiveDirectorySettings(LdapSettings):
    """The Active Directory."""

    ad_server: str
    ad_port: int = Field(default=636, ge=1, le=65535, description="a number from 1 to 65535")
    ad_search_base: str
    ad_user: str
    ad_password: SecretStr
    ad_ca_file: Path | None = None


class FileSettings(Settings):
    """Where exported files lie."""

    hub_data_folder: Path


class NoSettings(Settings):
    """Of what needs none."""


class GroupSettings(Settings):
    """What silver's groups are told beyond what their sources say."""

    hub_mail_domain: str | None = Field(
        default=None, pattern=r"^[^@\s]+$", description="a domain, e.g. example.edu, without an @"
    )


EVERY_SETTING: tuple[type[Settings], ...] = (
    HubSettings,
    UmapiSettings,
    TdxSettings,
    McommunitySettings,
    ActiveDirectorySettings,
    FileSettings,
    GroupSettings,
)
PREFIXES = ("UM_", "TDX_", "MCOMMUNITY_", "AD_", "HUB_")


def load_hub_settings(classes: tuple[type[Settings], ...], flags: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return HubSettings and one instance of each of the classes.

    Raises ConfigError that names every missing and every wrong setting of all of them in one message.
    """
    loaded = load_settings((HubSettings, *classes), flags, ENV_FILE)
    read_database_url(loaded[0].database_url.get_secret_value())
    return loaded


def has_any_setting(settings_class: type[Settings]) -> bool:
    """Tell whether any setting of a source's own is set, in the environment or in `.env`; those of all do not count."""
    of_all = {name for parent in settings_class.__mro__[1:] for name in getattr(parent, "model_fields", {})}
    own = settings_class.model_fields.keys() - of_all
    written = {name.lower() for name, value in os.environ.items() if value} | read_env_file(ENV_FILE).keys()
    return bool(written & (own | {f"{name}_file" for name in own}))


def load_source_settings(settings_class: type[Settings]) -> Settings:
    """Return a source's settings from the environment; ConfigError names every missing and wrong one."""
    loaded: Settings = load_settings((settings_class,), {}, ENV_FILE)[0]
    return loaded


def read_database_url(url: str) -> DatabaseSettings:
    """Return the database of DATABASE_URL; `embedded` alone is the hub's own on the suite's private server."""
    return database_url.read_database_url(url, EMBEDDED_DATABASE)


def embedded_url(name: str = EMBEDDED_DATABASE) -> str:
    """Start the suite's own private server, make the database if it is missing, and return its URL."""
    suite = Path(etlkit.__file__).resolve().parent.parent
    found = EmbeddedServer(default_home(suite)).ensure_database(name)
    word = found.db_password.get_secret_value()
    return f"postgresql://{found.db_user}:{word}@{found.db_host}:{found.db_port}/{found.db_name}"


def secrets_of(settings: tuple[Settings, ...]) -> list[str]:
    """Return every secret value of some settings, so that no log shows one."""
    values = secret_values(settings)
    for group in settings:
        if isinstance(group, HubSettings):
            values.append(read_database_url(group.database_url.get_secret_value()).db_password.get_secret_value())
    return [value for value in values if value]
