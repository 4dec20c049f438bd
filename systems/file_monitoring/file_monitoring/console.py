"""What the commands have alike: their settings, a logger, an outcome."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings

from etlkit.console import Session
from etlkit.errors import ConfigError
from etlkit.logs import configure_logging
from etlkit.settings import load_settings, setting_names, unknown_settings
from file_monitoring.monitor_settings import ENV_FILE, EVERY_SETTING, PREFIXES, QueueSettings

LOGGER = "file_monitoring"


def open_session(*, as_json: bool) -> Session:
    """Return the session of a command that ends by itself; its log is on the console alone."""
    logger = configure_logging(
        LOGGER,
        None,
        level=settings.MONITOR.log_level,
        console=sys.stderr if as_json else sys.stdout,
        secrets=settings.SECRETS,
    )
    for sentence in unknown_settings(setting_names(EVERY_SETTING), PREFIXES, ENV_FILE):
        logger.warning("%s", sentence)
    return Session(logger, settings.SECRETS, ENV_FILE, "")


def require_database() -> None:
    """Raise ConfigError where the settings name no database."""
    if settings.DATABASE_COMPLAINT:
        raise settings.DATABASE_COMPLAINT


def require_queue(flags: dict[str, Any]) -> QueueSettings:
    """Return the worker's settings; ConfigError names everything that is missing of them, the database's too."""
    complaints: list[ConfigError] = [settings.DATABASE_COMPLAINT] if settings.DATABASE_COMPLAINT else []
    queue: QueueSettings
    try:
        (queue,) = load_settings((QueueSettings,), flags, ENV_FILE)
    except ConfigError as error:
        complaints.append(error)
    if complaints:
        raise ConfigError(" ".join(complaint.problem for complaint in complaints), complaints[0].advice)
    return queue
