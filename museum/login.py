"""python -m museum.login: a login in one of the roles of roles.sql, for a program of its own.

In comes a password on standard input, out goes a role that may log in; the server gets the password's SCRAM verifier
only, so that no log of it can show the password. A second time changes the password, and nothing else.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import getpass
import logging
import sys
from contextlib import closing

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from etlkit.console import Outcome
from etlkit.errors import ConfigError
from etlkit.postgres import Connection, connect, load_errors, run_file
from etlkit.process import exit_process
from museum.command import Command, argument_parser, run_stage
from museum.database import database_settings
from museum.settings import SQL

ROLES = {"loader": "museum_loader", "reader": "museum_reader"}
SHORTEST_PASSWORD = 12
LONGEST_NAME = 63


def make_login(connection: Connection, name: str, role: str, password: str) -> bool:
    """Create a login in a role, or change its password; return whether it is new. Raises ConfigError and LoadError."""
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigError(f"the password must have at least {SHORTEST_PASSWORD} characters. Nothing was touched.")
    if len(name.encode()) > LONGEST_NAME:
        raise ConfigError(f"the name {name!r} is longer than Postgres's {LONGEST_NAME} bytes. Nothing was touched.")
    login, group = sql.Identifier(name), sql.Identifier(role)
    with load_errors(f"making the login {name}"), connection, connection.cursor() as cursor:
        run_file(cursor, SQL / "role" / "find_roles.sql", {"names": [name, role], "role": role})
        found = dict(cursor.fetchall())
        if role not in found:
            raise ConfigError(
                f"there is no role {role} yet. Run once: python load.py --apply-roles. Nothing was touched."
            )
        if not found.get(name, True):
            raise ConfigError(
                f"{name!r} is there already and is more than a login in {role}: it has other rights or roles, or owns "
                "something. Take another name. Nothing was touched."
            )
        if name not in found:
            cursor.execute(sql.SQL("create role {}").format(login))
        verifier = sql.Literal(encrypt_password(password, name, scope=connection, algorithm="scram-sha-256"))
        cursor.execute(sql.SQL("alter role {} login password {}").format(login, verifier))
        cursor.execute(sql.SQL("grant {} to {}").format(group, login))
    return name not in found


def main(arguments: list[str] | None = None) -> int:
    """Make a login from the command line."""
    parser = argument_parser(
        "python -m museum.login",
        "Make a login in one of the roles of roles.sql; the password comes from standard input.",
        "  python -m museum.login --role loader museum_pipeline\n"
        "  python -m museum.login --role reader museum_dashboard < password.txt",
        ("database",),
        exit_codes="exit codes: 0 the login is there; 1 the database refused; 2 usage or settings",
    )
    parser.add_argument("name", metavar="NAME", help="of the login")
    parser.add_argument("--role", choices=ROLES, required=True, help="what it may do")

    def body(command: Command, logger: logging.Logger) -> Outcome:
        name, role = command.flags.name, ROLES[command.flags.role]
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        with closing(connect(database_settings(command, logger), "museum login")) as connection:
            is_new = make_login(connection, name, role, password)
        return Outcome(f"The login {name} in {role} {'is there' if is_new else 'has this password now'}.")

    return run_stage(parser.parse_args(arguments), body, with_database=True)


if __name__ == "__main__":
    exit_process(main())
