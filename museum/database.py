"""Which database a command works on."""

from __future__ import annotations

import logging
from contextlib import closing

from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import ConfigError
from etlkit.postgres import apply_schema, connect
from etlkit.settings import DatabaseSettings
from museum.settings import PROJECT_DIR, SCHEMA_FILE, Command


def database_settings(command: Command, logger: logging.Logger | None = None) -> DatabaseSettings:
    """Return where the database is; the embedded server is started, and a new database of it gets the schema."""
    if command.database is None:
        raise ConfigError("no database was asked for. Nothing was touched.")
    if not command.database.is_embedded:
        return command.database
    server = EmbeddedServer(default_home(PROJECT_DIR))
    with server.locked():
        settings = server.ensure_database(command.database.db_name)
        with closing(connect(settings, "museum schema")) as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass('meta.schema_version') is null")
            if (cursor.fetchone() or (False,))[0]:
                connection.rollback()
                apply_schema(connection, SCHEMA_FILE)
                (logger or logging.getLogger(__name__)).info("applied %s", SCHEMA_FILE.name)
    return settings
