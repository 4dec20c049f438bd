"""python -m dashboard: the page that the museum's staff look at, or the report as one file.

In come the museum's tables, out goes a page on this machine, or a file; the database is only read, so a re-run is safe.
The page itself is served by Streamlit, which takes this process over.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from dashboard.command_line import check_flags, chosen_selection, dashboard_command, dashboard_parser
from dashboard.database import Reader
from dashboard.figures import read_catalogue
from dashboard.report import Heading, render_report, write_report
from dashboard.settings import DashboardSettings, as_reader, dashboard_settings
from etlkit.console import Outcome, say_settings_error
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_UNTOLD, ConfigError
from etlkit.postgres import connect, require_schema
from etlkit.process import exit_process
from museum.console import run_stage
from museum.database import database_settings
from museum.demo import DATABASE as DEMO_DATABASE
from museum.live.demo import DATABASE as LIVE_DEMO_DATABASE
from museum.settings import PROJECT_DIR, SCHEMA, Command

LARGEST_REPORT = 2_000_000
APP = Path(__file__).with_name("app.py")
STREAMLIT_OPTIONS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "runner.magicEnabled": "false",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report, or check everything and serve the page; the page ends with the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    flags = dashboard_parser().parse_args(given)
    if flags.demo:
        try:
            flags.embedded, flags.db_name = True, demo_database()
        except ConfigError as error:
            return say_settings_error(error, as_json=flags.json)
        given = [*(word for word in given if word != "--demo"), "--embedded", "--db-name", flags.db_name]
    exit_code = run_stage(flags, export if flags.export else prepare, with_database=True, others=(DashboardSettings,))
    if exit_code in (EXIT_CLEAN, EXIT_UNTOLD) and not flags.export:
        serve(given)
    return exit_code


def export(command: Command, logger: logging.Logger) -> Outcome:
    """Write the report."""
    reader = checked_reader(command, logger)
    settings, timezone = dashboard_settings(command), command.museum.museum_timezone
    with closing(reader), reader.look() as cursor:
        catalogue = read_catalogue(cursor, timezone)
        selection = chosen_selection(command, catalogue)
        heading = Heading(
            museum=settings.museum_name,
            database=command.database.db_name if command.database else "",
            choice=", ".join([*command.flags.department, *command.flags.exhibition]),
            timezone=timezone,
            made=command.now,
        )
        page = render_report(cursor, catalogue, selection, heading)
    path = command.flags.export.resolve()
    size = write_report(path, page)
    if size > LARGEST_REPORT:
        logger.warning("the report is larger than %s MB; choose fewer days or exhibitions", LARGEST_REPORT / 1e6)
    period = str(selection.period) if selection else "no presses yet"
    return Outcome(f"Wrote {path} ({size / 1000:,.0f} kB): {period}.", {"report": str(path), "bytes": size})


def prepare(command: Command, logger: logging.Logger) -> Outcome:
    """Refuse at once, in one line, what the page could only show as a failure."""
    checked_reader(command, logger).close()
    settings = dashboard_settings(command)
    address, port = settings.museum_dashboard_address, settings.museum_dashboard_port
    _check_free(address, port)
    name = command.database.db_name if command.database else ""
    return Outcome(f"The dashboard of the database {name} is at http://{address}:{port} (Ctrl-C ends it).")


def checked_reader(command: Command, logger: logging.Logger) -> Reader:
    """Return a reader of the command's database, which must have today's schema; ConfigError for odd flags."""
    check_flags(command)
    database = database_settings(as_reader(command), logger)
    with closing(connect(database, "museum dashboard")) as connection:
        require_schema(connection, SCHEMA)
    return Reader(database)


def demo_database() -> str:
    """Return the demos' database on the private server, the live one first. ConfigError when no demo has run yet."""
    server = EmbeddedServer(default_home(PROJECT_DIR))
    if server.exists:
        names = server.databases()
        for name in (LIVE_DEMO_DATABASE, DEMO_DATABASE):
            if name in names:
                return name
    raise ConfigError("there is no demo's database yet. Run make demo or make demo-live first. Nothing was touched.")


def serve(arguments: list[str]) -> NoReturn:
    """Become the Streamlit server of the page."""
    settings: DashboardSettings = dashboard_settings(dashboard_command(arguments))
    options = {
        **STREAMLIT_OPTIONS,
        "server.address": settings.museum_dashboard_address,
        "server.port": str(settings.museum_dashboard_port),
        "server.headless": str(not _has_screen()).lower(),
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    path = os.pathsep.join(filter(None, [str(PROJECT_DIR), os.environ.get("PYTHONPATH", "")]))
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", *flags, str(APP), "--", *arguments]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606 - our own interpreter


def _check_free(address: str, port: int) -> None:
    """Raise ConfigError unless the page could listen there."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise ConfigError(
            f"the page cannot listen on {address}:{port}: {error.strerror or error}. Give another --port or --address. "
            "Nothing was touched."
        ) from error


def _has_screen() -> bool:
    """Tell whether a browser could open here; over ssh and from systemd it could not."""
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    exit_process(main())
