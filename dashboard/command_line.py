"""The dashboard's flags, which the page's process reads again, and the settings that they and `.env` give."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from dashboard.figures import Catalogue
from dashboard.selection import Period, Selection
from dashboard.settings import DashboardSettings
from etlkit.errors import ConfigError
from museum.settings import Command, argument_parser, read_command

EXIT_CODES = "exit codes: 0 the page was stopped, or the report is written; 1 failed; 2 usage or settings"


def dashboard_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m dashboard`."""
    parser = argument_parser(
        "python -m dashboard",
        "Show how the exhibitions do and where help is needed: as a page, or as a report in one file.",
        "  python -m dashboard                              # the page, on this machine only\n"
        "  python -m dashboard --export report.html         # one file for mail or an S3 website\n"
        "  python -m dashboard --export zoology.html --department Zoology --first-day 2026-01-01",
        ("database",),
        EXIT_CODES,
    )
    parser.add_argument("--export", metavar="FILE", type=Path, help="write the report and end, instead of the page")
    parser.add_argument("--first-day", metavar="DAY", type=date.fromisoformat, help="of the report, ISO (the first)")
    parser.add_argument("--last-day", metavar="DAY", type=date.fromisoformat, help="of the report, ISO (the last)")
    parser.add_argument("--department", metavar="NAME", action="append", default=[], help="in the report; repeatable")
    parser.add_argument("--exhibition", metavar="NAME", action="append", default=[], help="in the report; repeatable")
    parser.add_argument("--address", metavar="IP", help="where the page listens (127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", help="of the page (8501)")
    parser.add_argument(
        "--demo", action="store_true", help="the private Postgres with make demo-live's or make demo's data"
    )
    parser.set_defaults(log_setting="museum_dashboard_log_file")
    return parser


def dashboard_command(arguments: Sequence[str]) -> Command:
    """Return the command of flags that were accepted before."""
    return read_command(dashboard_parser().parse_args(arguments), with_database=True, others=(DashboardSettings,))


def chosen_selection(command: Command, catalogue: Catalogue) -> Selection | None:
    """Return what the flags choose, None while there are no presses.

    Raises ConfigError for an unknown department or exhibition, or days in the wrong order.
    """
    flags = command.flags
    names = set(catalogue.exhibitions["exhibition"])
    for kind, given, known in (
        ("department", flags.department, set(catalogue.departments)),
        ("exhibition", flags.exhibition, names),
    ):
        if unknown := sorted(set(given) - known):
            listed = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"no {kind} is named {unknown[0]!r}; there are: {listed}. Nothing was written.")
    if catalogue.span is None:
        return None
    period = Period(flags.first_day or catalogue.span.first_day, flags.last_day or catalogue.span.last_day)
    if period.first_day > period.last_day:
        raise ConfigError(
            f"--first-day {period.first_day} lies after --last-day {period.last_day}; there are presses from "
            f"{catalogue.span.first_day} to {catalogue.span.last_day}. Nothing was written."
        )
    ids = catalogue.chosen_ids(flags.department, flags.exhibition)
    return Selection(period, ids, command.museum.museum_timezone)
