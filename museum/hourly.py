"""The hourly counts that dashboards read: folding noted differences into them.

The database itself notes every difference, in the transaction that makes it (schema.sql says how); folding only keeps
the list of differences short. It changes no figure, so it may run at any time, twice, or not at all.
"""

from __future__ import annotations

from pathlib import Path

from etlkit.postgres import Cursor, lock_key, run_file

SQL = Path(__file__).resolve().parent.parent / "sql" / "load"
LOCK_NAME = "museum:hours"


def fold_hours(cursor: Cursor) -> None:
    """Fold the noted differences into the hourly counts, in the caller's transaction, unless somebody else is at it."""
    cursor.execute("select pg_try_advisory_xact_lock(%s)", (lock_key(LOCK_NAME),))
    if (cursor.fetchone() or (False,))[0]:
        run_file(cursor, SQL / "fold_review_hour.sql")
        run_file(cursor, SQL / "fold_incident_hour.sql")
