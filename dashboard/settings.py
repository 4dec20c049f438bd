"""Whose eyes the dashboard sees the database with."""

from __future__ import annotations

from dataclasses import replace

from etlkit.errors import ConfigError
from etlkit.settings import DatabaseSettings
from museum.command import Command
from museum.settings import DashboardSettings


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
