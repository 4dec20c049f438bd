"""A database backend whose login is read anew for every connection, since the secret rotates."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper

from etlkit.aws_secret import read_secret


class DatabaseWrapper(PostgresWrapper):
    """Postgres, asked with today's login."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return what the driver connects with."""
        user, password = read_secret(settings.DATABASE)
        return {**super().get_connection_params(), "user": user, "password": password.get_secret_value()}
