"""The dashboard's flags, which the page's process reads again, and the settings that they and `.env` give."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dashboard.catalogue import Catalogue
from dashboard.selection import NAMED_PERIODS, Period, Selection, named_period
from etlkit.errors import ConfigError
from museum.command import Command, argument_parser, read_command
from museum.settings import DashboardSettings

EXIT_CODES = (
    "exit codes: 0 the page was stopped, or the report is written; 1 failed; 2 usage or settings; "
    "3 the report is written without a chart that could not be drawn; 130 Ctrl-C"
)


PERIODS = {name.lower().replace(" ", "-"): name for name in NAMED_PERIODS}
"""The page's periods as a shell takes them."""


def dashboard_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m dashboard`."""
    parser = argument_parser(
        "python -m dashboard",
        "Show how the exhibitions do and where help is needed: as a page, or as a report in one file.",
        "  python -m dashboard                              # the page, on this machine only\n"
        "  python -m dashboard --export report.html         # one file for mail or an S3 website\n"
        "  python -m dashboard --export month.html --period last-month\n"
        "  python -m dashboard --export zoology.html --department Zoology --since 2026-01-01",
        ("database",),
        exit_codes=EXIT_CODES,
        log_setting="museum_dashboard_log_file",
    )
    parser.add_argument("--export", metavar="FILE", type=Path, help="write the report and end, instead of the page")
    days = ", ".join(PERIODS)
    parser.add_argument("--period", choices=PERIODS, metavar="PERIOD", help=f"of the report: {days} (all)")
    parser.add_argument(
        "--since", metavar="DAY", type=_day, help="first day of the report, ISO (the first with presses)"
    )
    parser.add_argument("--until", metavar="DAY", type=_day, help="last day of the report, ISO (the last with presses)")
    parser.add_argument("--department", metavar="NAME", action="append", default=[], help="in the report; repeatable")
    parser.add_argument("--exhibition", metavar="NAME", action="append", default=[], help="in the report; repeatable")
    parser.add_argument(
        "--address", metavar="IP", dest="museum_dashboard_address", help="where the page listens (127.0.0.1)"
    )
    parser.add_argument("--port", metavar="PORT", dest="museum_dashboard_port", help="of the page (8501)")
    parser.add_argument(
        "--demo", action="store_true", help="the private Postgres with make demo-live's or make demo's data"
    )
    return parser


def dashboard_command(arguments: Sequence[str]) -> Command:
    """Return the command of flags that were accepted before."""
    return read_command(dashboard_parser().parse_args(arguments), with_database=True, others=(DashboardSettings,))


def chosen_selection(command: Command, catalogue: Catalogue) -> Selection | str:
    """Return what the flags choose, or that there are no presses yet.

    Raises ConfigError for an unknown department or exhibition, and for a choice that holds no day or no exhibition.
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
        return "no presses yet"
    ids = catalogue.chosen_ids(flags.department, flags.exhibition)
    if not ids:
        raise ConfigError("no exhibition is in both what --department and --exhibition name. Nothing was written.")
    return Selection(_chosen_period(command, catalogue.span), ids, command.museum.museum_timezone)


def _chosen_period(command: Command, span: Period) -> Period:
    """Return the days of the flags: of a named period all, of days of one's own those that lie among the presses."""
    flags = command.flags
    if flags.period:
        today = command.now.astimezone(ZoneInfo(command.museum.museum_timezone)).date()
        return named_period(PERIODS[flags.period], span, today)
    first, last = flags.since or span.first_day, flags.until or span.last_day
    period = Period(first, last).within(span)
    if period is None:
        raise ConfigError(
            f"there are no presses from {first} to {last}, only from {span.first_day} to {span.last_day}. "
            "Correct --since and --until. Nothing was written."
        )
    return period


def check_flags(command: Command) -> None:
    """Raise ConfigError for flags that would be ignored, and for a zone whose hours are not whole ones of UTC."""
    flags = command.flags
    given = {"--period": flags.period, "--since": flags.since, "--until": flags.until,
             "--department": flags.department, "--exhibition": flags.exhibition}  # fmt: skip
    if flags.period and (flags.since or flags.until):
        raise ConfigError("--period cannot go with --since or --until. Nothing was written.")
    if flags.since and flags.until and flags.since > flags.until:
        raise ConfigError(f"--since {flags.since} is after --until {flags.until}. Nothing was written.")
    if not flags.export and (unused := [name for name, value in given.items() if value]):
        raise ConfigError(f"{unused[0]} is for --export; on the page choose there. Nothing was touched.")
    zone = command.museum.museum_timezone
    offset = command.now.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    if offset % timedelta(hours=1):
        raise ConfigError(
            f"MUSEUM_TIMEZONE {zone} is not whole hours away from UTC, and presses are counted by hours of UTC. "
            "Nothing was touched."
        )


def _day(text: str) -> date:
    """Read a day as ISO writes it."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-01-31") from error
