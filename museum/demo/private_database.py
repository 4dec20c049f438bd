"""The demos' databases on the private server, and how a person in the project's folder reaches them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper

from etlkit.embedded import EmbeddedServer, default_home
from etlkit.postgres import Cursor, apply_schema, connect
from etlkit.settings import setting_names, stand_alone
from museum.settings import EVERY_SETTING, PREFIXES, PROJECT_DIR, SCHEMA_FILE

BATCH_DATABASE, LIVE_DATABASE = "museum_demo", "museum_live"
SERVER = EmbeddedServer(default_home(PROJECT_DIR))


def begin_demo(name: str) -> None:
    """Shut the user's settings out, and bring a demo's database up to today's schema: an older clone's demo goes on."""
    stand_alone(setting_names(EVERY_SETTING), PREFIXES)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the programs write to the same pipe in between
    with closing(connect(SERVER.ensure_database(name), "museum demo")) as connection:
        apply_schema(connection, SCHEMA_FILE)


@contextmanager
def looking_at(name: str) -> Iterator[Cursor]:
    """Give a cursor that sees every commit at once."""
    with closing(connect(SERVER.ensure_database(name), "museum demo")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def shown(argument: str) -> str:
    """Return an argument as a person in the project's folder would type it."""
    return argument.removeprefix(f"{PROJECT_DIR}{os.sep}")


def print_ways_on(name: str, dashboard: str) -> None:
    """Print how to look further."""
    command = f"{shown(sys.executable)} -m etlkit"
    print(f"Rejects:      {command} rejects list --embedded --db-name {name}")
    print(f"Run history:  {command} runs list --embedded --db-name {name}")
    print(f"psql:         {SERVER.psql_command(name)}")
    print(f"Dashboard:    {dashboard}")
    print("The private Postgres keeps running; make stop ends it.")
