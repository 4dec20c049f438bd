"""Filling review and incident; a large first load without their constraints, put back in the same transaction.

Only empty tables of our own are treated so, under a lock that is given up rather than waited for: nobody who reads rows
or adds live ones ever waits for a rebuild. A failure rolls the constraints back together with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psycopg2 import errors

from etlkit.postgres import Cursor, run_file

SQL = Path(__file__).resolve().parent.parent / "sql" / "load"
BULK_ROWS = 100_000
"""From how many staged rows on a rebuild of the constraints is cheaper than checking them row by row."""

DROPS = ("drop_review_constraints", "drop_incident_constraints", "drop_event_indexes")
REBUILDS = (
    "rebuild_review_constraints",
    "rebuild_incident_constraints",
    "create_review_exhibition_at",
    "create_review_at",
    "create_incident_exhibition_at",
    "create_incident_at",
)


@dataclass(frozen=True)
class FilledEvents:
    """How many rows were added, and how many of changed objects were removed first."""

    reviews: int
    incidents: int
    removed: int


def fill_events(cursor: Cursor, staged_rows: int) -> FilledEvents:
    """Bring review and incident up to the accepted rows of staging_kiosk."""
    if staged_rows >= BULK_ROWS and _lock_empty_tables(cursor):
        for name in DROPS:
            run_file(cursor, SQL / f"{name}.sql")
        reviews = run_file(cursor, SQL / "fill_review_in_bulk.sql")
        incidents = run_file(cursor, SQL / "fill_incident_in_bulk.sql")
        cursor.execute("set local maintenance_work_mem = '256MB'")
        for name in REBUILDS:
            run_file(cursor, SQL / f"{name}.sql")
        return FilledEvents(reviews, incidents, removed=0)
    removed = run_file(cursor, SQL / "delete_changed_review.sql")
    removed += run_file(cursor, SQL / "delete_changed_incident.sql")
    reviews = run_file(cursor, SQL / "fill_review.sql")
    return FilledEvents(reviews, run_file(cursor, SQL / "fill_incident.sql"), removed)


def _lock_empty_tables(cursor: Cursor) -> bool:
    """Lock the event tables if they are empty, our own and free; else leave them as they were and return False."""
    if not _is_bulk_target(cursor):
        return False
    cursor.execute("savepoint bulk_target")
    cursor.execute("set local lock_timeout = '2s'")
    try:
        run_file(cursor, SQL / "lock_bulk_target.sql")
        is_ours = _is_bulk_target(cursor)
    except errors.LockNotAvailable:
        is_ours = False
    if not is_ours:
        cursor.execute("rollback to savepoint bulk_target")
        return False
    cursor.execute("set local lock_timeout = 0")
    return True


def _is_bulk_target(cursor: Cursor) -> bool:
    """Tell whether the event tables are empty and our own."""
    run_file(cursor, SQL / "find_bulk_target.sql")
    return bool((cursor.fetchone() or (False,))[0])
