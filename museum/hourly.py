"""The hourly counts that dashboards read: folding noted differences into them.

The database itself notes every difference, in the transaction that makes it (schema.sql says how); folding only keeps
the list of differences short. It changes no figure, so it may run at any time, twice, or not at all. Counts that were
changed by hand stay wrong until they are found: each load compares one span of hours with the presses, the next load
the next span, and `rebuild_hours` notes what differs.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg2

from etlkit.postgres import Connection, Cursor, only_value, run_file
from museum.settings import SQL

STATEMENTS = SQL / "hour"
HOUR = timedelta(hours=1)
COMPARED_PRESSES = 50_000
"""About how many a load compares with their counts, in some 10 ms."""
PRESS_BYTES = 60
"""What a press takes up in its table, by which their number is estimated."""
EVER = ("-infinity", "infinity")
PORTION = 5_000
"""About 50 ms of work, for a program that has something better to do."""


@dataclass(frozen=True)
class MiscountedHours:
    """How many hours are counted wrongly, and by how many presses, in the span that was compared."""

    hours: int
    reviews: int
    incidents: int
    span: int = 0

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return self.hours > 0

    def sentence(self) -> str:
        """Return what is wrong."""
        wrong = f"by {self.reviews:,} reviews and {self.incidents:,} incidents"
        return f"the counts of {self.hours:,} hours differ from the presses, {wrong}"


def compare_hours(cursor: Cursor) -> MiscountedHours:
    """Hold a span of hourly counts against the presses; load after load, all hours have their turn.

    The load notes the span in its run's history, by which the next load goes on, whatever was pruned of it.
    """
    run_file(cursor, STATEMENTS / "read_span_of_presses.sql", {"press_bytes": PRESS_BYTES})
    first, last, presses, latest = cursor.fetchone() or (None, None, 0, None)
    spans = presses // COMPARED_PRESSES + 1
    if first is None or spans == 1:
        return find_differences(cursor, *EVER)
    number, hours = (0 if latest is None else latest + 1) % spans, (last - first) // HOUR
    begin, end = (first + HOUR * (hours * place // spans) for place in (number, number + 1))
    found = find_differences(cursor, begin if number else EVER[0], end if number + 1 < spans else EVER[1])
    return replace(found, span=number)


def rebuild_hours(cursor: Cursor) -> MiscountedHours:
    """Make all hourly counts right, beside writers at work, in the caller's transaction; return what was wrong."""
    cursor.execute("select lock_hours()")
    found = find_differences(cursor, *EVER)
    run_file(cursor, STATEMENTS / "correct_hours.sql")
    fold_hours(cursor)
    return found


def find_differences(cursor: Cursor, first_hour: datetime | str, end_hour: datetime | str) -> MiscountedHours:
    """Gather what differs in a span of hours, once in a transaction."""
    run_file(cursor, STATEMENTS / "find_miscounted_hours.sql", {"first_hour": first_hour, "end_hour": end_hour})
    return MiscountedHours(*(cursor.fetchone() or (0, 0, 0)))


def fold_hours(cursor: Cursor, most: int | None = None) -> bool:
    """Fold noted differences, all or so many of each kind, unless somebody else does; tell whether some are left."""
    cursor.execute("select pg_try_advisory_xact_lock(hashtextextended('museum:hours', 0))")
    if not only_value(cursor):
        return False
    run_file(cursor, STATEMENTS / "fold_hours.sql", {"most": most})
    return bool(only_value(cursor))


def fold_in_passing(connection: Connection, seconds: float) -> None:
    """Fold for up to so many seconds, in transactions of its own that wait for nobody; what fails is left for later."""
    deadline = time.monotonic() + seconds
    with suppress(psycopg2.Error):
        while time.monotonic() < deadline:
            with connection, connection.cursor() as cursor:
                cursor.execute("set local lock_timeout = '100ms'")
                cursor.execute("set local statement_timeout = '2s'")
                if not fold_hours(cursor, PORTION):
                    return
