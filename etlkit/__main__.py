"""python -m etlkit: run history, rejected records and the private server, from the shell.

Settings come from the environment, then `.env` in the project's folder, as for every other command: DATABASE_URL, or
DB_HOST and the others.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import argparse
import csv
import io
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from pydantic import SecretStr
from tabulate import tabulate

from etlkit.console import interval_of, positive_count, run_plainly
from etlkit.database_url import UrlDatabase, read_database_url
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, ConfigError
from etlkit.logs import write
from etlkit.postgres import Connection, Cursor, connect, fetch_dicts, load_errors, run_file
from etlkit.process import exit_process
from etlkit.settings import EMBEDDED_HOST, DatabaseSettings, Settings, load_settings, warning_of_readers

SQL = Path(__file__).parent / "sql"
PROJECT_DIR = Path(__file__).resolve().parent.parent
SHOWN_TEXT = 80
SHORTEST_RUN = 4
_AGE: dict[str, Any] = {"required": True, "metavar": "AGE", "help": "a number of h, d or w, e.g. 90d"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class _Places(Settings):
    """The two ways in which systems say where their database is."""

    database_url: SecretStr | None = None
    db_host: str | None = None


class _AnyDatabase(DatabaseSettings):
    """The database of whatever system keeps its runs there; on the private server it may go unnamed."""

    embedded_database = ""


def list_runs(connection: Connection, flags: argparse.Namespace) -> None:
    """Print the latest runs, newest first."""
    rows = _query(connection, "list_runs", {"source_system": flags.system, "limit": flags.limit})
    if flags.system and not rows:
        _require_known(connection, "--system", flags.system, "list_systems")
    for row in rows:
        row["run_id"] = str(row["run_id"])[:8]
        row["started_at"] = f"{row['started_at']:%Y-%m-%d %H:%M:%S}"
        row["error_message"] = _shorten(_printable(row["error_message"] or ""))
        for name in ("records_processed", "records_created", "records_updated"):
            row[name] = f"{row[name]:,}"
    _print(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True) if rows else "no runs yet")


def show_run(connection: Connection, flags: argparse.Namespace) -> None:
    """Print all that is known about one run; its id may be shortened."""
    if len(flags.run) < SHORTEST_RUN:
        raise ConfigError(f"{flags.run!r} is too short for a run id; give at least {SHORTEST_RUN} characters.")
    rows = _query(connection, "show_run", {"run": flags.run})
    if len(rows) != 1:
        found = "more than one run begins" if rows else "no run begins"
        raise ConfigError(f"{found} with {flags.run!r}. See: python -m etlkit runs list")
    metadata = rows[0].pop("metadata")
    rows[0]["error_message"] = _printable(rows[0]["error_message"] or "")
    _print(tabulate(rows[0].items(), tablefmt="plain", disable_numparse=True))
    _print(json.dumps(metadata, indent=2, default=str))


def prune_runs(connection: Connection, flags: argparse.Namespace) -> None:
    """Delete the history of finished runs older than an age; what they loaded stays."""
    age = interval_of(flags.older_than)
    with load_errors("pruning runs"), connection, connection.cursor() as cursor:
        _require_meta(cursor)
        count = run_file(cursor, SQL / "prune_runs.sql", {"older_than": age})
    _print(f"pruned {count:,} runs older than {flags.older_than}")


def prune_rejects(connection: Connection, flags: argparse.Namespace) -> None:
    """Delete old rejected records that were resolved and, with --open-messages, messages that nobody mended.

    A file comes again with each run, so its open records stay: loads count them. A message does not.
    """
    parameters = {"older_than": interval_of(flags.older_than), "messages": flags.open_messages}
    with load_errors("pruning rejected records"), connection, connection.cursor() as cursor:
        _require_meta(cursor)
        run_file(cursor, SQL / "prune_rejects.sql", parameters)
        resolved, messages = cursor.fetchone() or (0, 0)
    of_open = f" and {messages:,} open messages" if flags.open_messages else ""
    _print(f"pruned {resolved:,} resolved rejected records{of_open} older than {flags.older_than}")


def list_rejects(connection: Connection, flags: argparse.Namespace) -> None:
    """Print rejected records, the latest first."""
    rows = _rejects(connection, flags, flags.limit + 1)
    are_more, rows = len(rows) > flags.limit, rows[: flags.limit]
    shown = [
        {
            "source": _printable(row["source"]),
            "position": row["position"],
            "reasons": ", ".join(row["reasons"]),
            "text": _shorten(_printable(bytes(row["raw"]))),
            "resolved": f"{row['resolved_at']:%Y-%m-%d}" if row["resolved_at"] else "",
        }
        for row in rows
    ]
    _print(
        tabulate(shown, headers="keys", tablefmt="simple", disable_numparse=True) if shown else "no rejected records"
    )
    if are_more:
        note = f"there are more than these {flags.limit}: --limit shows more, rejects export writes all"
        write(sys.stderr, f"{note}\n")


def export_rejects(connection: Connection, flags: argparse.Namespace) -> None:
    """Write rejected records as CSV, to standard output or a file.

    A cell that a spreadsheet would take for a formula is preceded by an apostrophe.
    """
    rows = _rejects(connection, flags, None)
    if flags.output:
        try:
            with Path(flags.output).open("w", encoding="utf-8", newline="") as file:
                _write_csv(file, rows)
        except OSError as error:
            raise ConfigError(f"{flags.output} cannot be written: {error.strerror}. Correct --output.") from error
        _print(f"wrote {len(rows):,} rejected records to {flags.output}")
    else:
        text = io.StringIO(newline="")
        _write_csv(text, rows)
        write(sys.stdout, text.getvalue())


def stop_server(_flags: argparse.Namespace) -> None:
    """Stop the private server."""
    stopped = EmbeddedServer(default_home(PROJECT_DIR)).stop()
    _print("the private server is stopped; its data stays" if stopped else "the private server was not running")


def show_server(flags: argparse.Namespace) -> None:
    """Print how to open psql on the private server, which is started for it."""
    server = _made_server()
    _print(server.psql_command(flags.db_name or _only_database(server)))


def _only_database(server: EmbeddedServer) -> str:
    """Return the private server's one database; ConfigError that names them when there are several."""
    names = server.databases()
    if len(names) != 1:
        found = f"the databases {', '.join(names)}" if names else "no database yet"
        raise ConfigError(f"the private server has {found}.", "Name one with --db-name.")
    return names[0]


def _made_server() -> EmbeddedServer:
    """Return the private server; ConfigError when no run has made it yet."""
    server = EmbeddedServer(default_home(PROJECT_DIR))
    if not server.exists:
        raise ConfigError("there is no private server yet; a run with --embedded, or make demo, makes it.")
    return server


def _print(text: str) -> None:
    """Print a result."""
    write(sys.stdout, f"{text}\n")


def _write_csv(file: TextIO, rows: list[dict[str, Any]]) -> None:
    writer = csv.writer(file)
    writer.writerow(["source", "position", "reasons", "text", "run_id", "first_seen", "last_seen", "resolved_at"])
    for row in rows:
        cells = [
            _printable(row["source"]), row["position"], " ".join(row["reasons"]), _printable(bytes(row["raw"])),
            row["run_id"], row["first_seen"], row["last_seen"], row["resolved_at"],
        ]  # fmt: skip
        writer.writerow([_harmless(cell) for cell in cells])


def _harmless(cell: object) -> object:
    """Return a cell that no spreadsheet runs as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _printable(raw: bytes | str) -> str:
    """Return bytes as text, what is not printable as escapes."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8", errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 3] + "..."


def _rejects(connection: Connection, flags: argparse.Namespace, limit: int | None) -> list[dict[str, Any]]:
    """Return the rejects that the flags ask for; ConfigError where they name what there never was."""
    rows = _query(
        connection,
        "list_rejects",
        {"all": flags.all, "reason": flags.reason, "source": flags.source, "limit": limit},
    )
    if flags.reason and not rows:
        _require_known(connection, "--reason", flags.reason, "list_reasons")
    ever = {"all": True, "reason": None, "source": flags.source, "limit": 1}
    if flags.source and not rows and not _query(connection, "list_rejects", ever):
        raise ConfigError(
            f"no record of the source {flags.source!r} was ever rejected.", "See: python -m etlkit rejects list --all"
        )
    return rows


def _require_known(connection: Connection, flag: str, value: str, statement: str) -> None:
    """Raise ConfigError that names the known values when a flag's is none of them, unless there are none at all."""
    known = [str(next(iter(row.values()))) for row in _query(connection, statement, {})]
    if known and value not in known:
        raise ConfigError(f"{flag} {value} is not known here.", f"Known are: {', '.join(known)}.")


def _require_meta(cursor: Cursor) -> None:
    """Raise ConfigError for a database in which no system has its schema."""
    cursor.execute("select to_regclass('meta.ingestion_runs') is null")
    if (cursor.fetchone() or (True,))[0]:
        raise ConfigError(
            "this database has no run history yet.", "Apply a system's schema first; its README says how."
        )


def _query(connection: Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a SQL file's rows as dictionaries."""
    with load_errors(f"running {name}"), connection, connection.cursor() as cursor:
        _require_meta(cursor)
        return fetch_dicts(cursor, SQL / f"{name}.sql", parameters)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m etlkit", description="Run history, rejects and the private server."
    )
    database = argparse.ArgumentParser(add_help=False)
    database.add_argument("--env-file", metavar="FILE", help="settings file (.env in the project's folder)")
    host = database.add_mutually_exclusive_group()
    host.add_argument("--embedded", action="store_true", help="the suite's own private Postgres")
    host.add_argument("--db-host", metavar="HOST", help="DB_HOST")
    for name in ("port", "name", "user"):
        database.add_argument(f"--db-{name}", metavar=name.upper(), help=f"DB_{name.upper()}")
    areas = parser.add_subparsers(required=True, metavar="AREA")

    runs = areas.add_parser("runs", help="run history").add_subparsers(required=True, metavar="ACTION")
    action = runs.add_parser("list", parents=[database], help="the latest runs")
    action.add_argument("--system", help="only this system's, as the list names it")
    action.add_argument("--limit", type=positive_count, default=20, help="how many to show (20)")
    action.set_defaults(run_on_database=list_runs)
    action = runs.add_parser("show", parents=[database], help="all about one run")
    action.add_argument("run", metavar="RUN", help="its id, or the beginning of it")
    action.set_defaults(run_on_database=show_run)
    action = runs.add_parser("prune", parents=[database], help="delete old history; what was loaded stays")
    action.add_argument("--older-than", **_AGE)
    action.set_defaults(run_on_database=prune_runs)

    rejects = areas.add_parser("rejects", help="rejected records").add_subparsers(required=True, metavar="ACTION")
    for name, function, text in (
        ("list", list_rejects, "the latest rejected records"),
        ("export", export_rejects, "all of them as CSV"),
    ):
        action = rejects.add_parser(name, parents=[database], help=text)
        action.add_argument("--reason", help="only with this reason, e.g. unknown_site")
        action.add_argument("--source", help="only of this source, e.g. s3://bucket/key")
        action.add_argument("--all", action="store_true", help="resolved ones too")
        action.set_defaults(run_on_database=function)
        if name == "list":
            action.add_argument("--limit", type=positive_count, default=50, help="how many to show (50)")
        else:
            action.add_argument("--output", metavar="FILE", help="a file instead of standard output")
    action = rejects.add_parser("prune", parents=[database], help="delete old ones that were resolved")
    action.add_argument("--older-than", **_AGE)
    action.add_argument(
        "--open-messages", action="store_true", help="open ones of kafka:// too, which no replay finds then"
    )
    action.set_defaults(run_on_database=prune_rejects)

    server = areas.add_parser("server", help="the private Postgres").add_subparsers(required=True, metavar="ACTION")
    server.add_parser("stop", help="stop it; its data stays").set_defaults(run_alone=stop_server)
    action = server.add_parser("psql", help="print the command that opens psql on it")
    action.add_argument("--db-name", metavar="NAME", help="the database, where there are several")
    action.set_defaults(run_alone=show_server)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    flags = command_parser().parse_args(arguments)

    def body() -> int:
        if hasattr(flags, "run_alone"):
            flags.run_alone(flags)
            return EXIT_CLEAN
        with closing(connect(_database_settings(flags), "etlkit")) as connection:
            flags.run_on_database(connection, flags)
        return EXIT_CLEAN

    return run_plainly(body)


def _database_settings(flags: argparse.Namespace) -> DatabaseSettings:
    """Return where the database is; an embedded server is started."""
    names = ("host", "port", "name", "user")
    given = {f"db_{name}": value for name in names if (value := getattr(flags, f"db_{name}"))}
    if flags.embedded:
        given["db_host"] = EMBEDDED_HOST
    env_file = Path(flags.env_file) if flags.env_file else _found_env_file()
    if flags.env_file and not env_file.is_file():
        raise ConfigError(f"{env_file} is not a file. Correct --env-file.")
    settings = _named_database(given, env_file)
    if warning := warning_of_readers(env_file):
        write(sys.stderr, f"warning: {warning}\n")
    if settings.is_embedded:
        server = _made_server()
        return server.database(settings.db_name or _only_database(server))
    return settings


def _named_database(given: dict[str, str], env_file: Path) -> DatabaseSettings:
    """Return the database of the flags, of DATABASE_URL or of DB_HOST and the others; ConfigError for the last two."""
    places: _Places = load_settings((_Places,), {}, env_file)[0]
    database: DatabaseSettings
    if "db_host" not in given and places.database_url is not None:
        if places.db_host:
            raise ConfigError(
                "DATABASE_URL and DB_HOST are both set.",
                "Set one of them to nothing, as in DATABASE_URL= python -m etlkit ..., or give --db-host. "
                "Nothing was touched.",
            )
        named = read_database_url(places.database_url.get_secret_value())
        database = load_settings((UrlDatabase,), {**dict(named), **given}, None)[0]
    else:
        database = load_settings((_AnyDatabase,), given, env_file)[0]
    return database


def _found_env_file() -> Path:
    """Return the `.env` of the project whose environment runs us, a system's perhaps, else the suite's."""
    own = Path(sys.prefix).parent / ".env"
    return own if own.is_file() else PROJECT_DIR / ".env"


if __name__ == "__main__":
    exit_process(main())
