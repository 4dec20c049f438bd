"""python -m dashboard: the page that the museum's staff look at, or the report as one file.

In come the museum's tables, out goes a page on this machine, or a file; the database is only read, so a re-run is safe.
The page is served by Streamlit in this process, until a signal ends it.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import logging
import sys
from collections.abc import Sequence
from contextlib import closing

from dashboard.command_line import check_flags, chosen_selection, dashboard_parser
from dashboard.database import Reader
from dashboard.report import DATA_PART, EXHIBITION_PART, EXHIBITIONS_PART, SAFETY_PART, report_of, write_report
from dashboard.settings import as_reader, dashboard_settings
from etlkit.console import Outcome, say_settings_error
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_REJECTS, ConfigError
from etlkit.postgres import connect, require_schema
from etlkit.process import exit_process
from etlkit.settings import EMBEDDED_HOST
from etlkit.signals import stopping_signal
from museum.command import Command, run_stage
from museum.database import database_settings
from museum.demo.private_database import BATCH_DATABASE, LIVE_DATABASE
from museum.settings import PROJECT_DIR, SCHEMA, DashboardSettings

LARGEST_REPORT = 2_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report, or serve the page until it is stopped."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = dashboard_parser()
    flags = parser.parse_args(given)
    if flags.demo:
        if flags.db_host:
            parser.error("--demo cannot go with --embedded or --db-host")
        try:
            flags.db_host, flags.db_name = EMBEDDED_HOST, demo_database()
        except ConfigError as error:
            return say_settings_error(error, as_json=flags.json)
        given = [*(word for word in given if word != "--demo"), "--embedded", "--db-name", flags.db_name]

    def show(command: Command, logger: logging.Logger) -> Outcome:
        return show_page(command, logger, given)

    return run_stage(flags, export if flags.export else show, with_database=True, others=(DashboardSettings,))


def export(command: Command, logger: logging.Logger) -> Outcome:
    """Write the report."""
    flags = command.flags
    first = EXHIBITION_PART if len(set(flags.exhibition)) == 1 else EXHIBITIONS_PART
    with closing(checked_reader(command, logger)) as reader:
        report = report_of(
            command,
            reader,
            lambda catalogue: chosen_selection(command, catalogue),
            (first, SAFETY_PART, DATA_PART),
            ", ".join([*flags.department, *flags.exhibition]),
        )
    path = flags.export.resolve()
    size = write_report(path, report.page)
    if size > LARGEST_REPORT:
        logger.warning("the report is larger than %s MB; choose fewer days or exhibitions", LARGEST_REPORT / 1e6)
    said = [f"Wrote {path} ({size / 1000:,.0f} kB): {report.period or 'no presses yet'}.", report.left_out_says]
    if report.undrawn:
        said.append(f"{len(report.undrawn)} of {report.charts} charts could not be drawn.")
    return Outcome(
        " ".join(filter(None, said)),
        {"report": str(path), "bytes": size, "undrawn": report.undrawn},
        gravest=EXIT_REJECTS if report.undrawn else EXIT_CLEAN,
    )


def show_page(command: Command, logger: logging.Logger, arguments: Sequence[str]) -> Outcome:
    """Serve the page until a signal; what it could only show as a failure is refused at once, in one line."""
    from dashboard.server import listen, serve  # noqa: PLC0415 - the report is written without Streamlit

    checked_reader(command, logger).close()
    settings = dashboard_settings(command)
    address, port = settings.museum_dashboard_address, settings.museum_dashboard_port
    with listen(address, port) as listener:
        name = command.database.db_name if command.database else ""
        logger.info("The dashboard of the database %s is at http://%s:%s (Ctrl-C ends it).", name, address, port)
        serve(listener, settings, arguments)
    return Outcome("The dashboard was stopped.", stopped_by=stopping_signal())


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
        for name in (LIVE_DATABASE, BATCH_DATABASE):
            if name in names:
                return name
    raise ConfigError("there is no demo's database yet. Run make demo or make demo-live first. Nothing was touched.")


if __name__ == "__main__":
    exit_process(main())
