"""The hourly counts that dashboards read: folding noted differences into them.

The database itself notes every difference, in the transaction that makes it (schema.sql says how); folding only keeps
the list of differences short. It changes no figure, so it may run at any time, twice, or not at all.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import psycopg2

from etlkit.postgres import Connection, Cursor, run_file

SQL = Path(__file__).resolve().parent.parent / "sql" / "load"
FOLDS = ("fold_review_hour", "fold_incident_hour")
CLEARS = ("clear_empty_review_hour", "clear_empty_incident_hour")
PORTION = 5_000
"""About 50 ms of work, for a program that has something better to do."""


def fold_hours(cursor: Cursor, most: int | None = None) -> bool:
    """Fold noted differences, all or so many of each kind, in the caller's transaction; tell whether there were any.

    Somebody else who is at it is not waited for.
    """
    cursor.execute("select pg_try_advisory_xact_lock(hashtextextended('museum:hours', 0))")
    if not (cursor.fetchone() or (False,))[0]:
        return False
    folded = [run_file(cursor, SQL / f"{name}.sql", {"most": most}) for name in FOLDS]
    for name in CLEARS:
        run_file(cursor, SQL / f"{name}.sql")
    return any(folded)


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
