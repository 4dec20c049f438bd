"""The dashboard's own settings: whose eyes it sees the database with, and where it listens."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field, SecretStr, model_validator

from etlkit.errors import ConfigError
from etlkit.settings import DatabaseSettings, Settings, is_loopback
from museum.command import Command

SHORTEST_PASSWORD = 12


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


def dashboard_settings(command: Command) -> DashboardSettings:
    """Return the dashboard's own settings of a command."""
    settings: DashboardSettings = command.others[0]
    return settings


def as_reader(command: Command) -> Command:
    """Return the command with the reader's login, where the settings have one, in place of the loader's."""
    settings = dashboard_settings(command)
    if command.database is None:
        raise ConfigError("no database was asked for. Nothing was touched.")
    if settings.museum_reader_user is None or command.database.is_embedded:
        return command
    login = {
        "db_user": settings.museum_reader_user,
        "db_password": settings.museum_reader_password,
        "db_secret_id": None,
    }
    reader: DatabaseSettings = command.database.model_copy(update=login)
    return replace(command, database=reader)
