"""The database as a Dagster resource: read when a run begins, so that definitions load without any setting."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import dagster as dg

from binge_works.binge_settings import SCHEMA, BingeDatabase, load_binge_settings
from etlkit.postgres import Connection, connect, require_schema
from etlkit.settings import DatabaseSettings


class PostgreSQLResource(dg.ConfigurableResource[DatabaseSettings]):
    """Where dimensions and history lie: what is not given here says the environment (DB_HOST, DB_NAME and so on).

    User and password are only taken from there, so that no run's configuration holds them.
    """

    host: str | None = None
    port: int | None = None
    database: str | None = None

    def settings(self) -> DatabaseSettings:
        """Return the settings; ConfigError names every missing and wrong one."""
        given = {"db_host": self.host, "db_port": self.port, "db_name": self.database}
        (found,) = load_binge_settings((BingeDatabase,), given)
        return found  # type: ignore[no-any-return]  # one of the classes asked for

    @contextmanager
    def get_connection(self) -> Iterator[Connection]:
        """Yield a connection to a database with the schema; it is closed behind."""
        with closing(connect(self.settings(), "binge_works dagster")) as connection:
            require_schema(connection, SCHEMA)
            yield connection
