"""The large first load: rows straight into review and incident, whose constraints are off meanwhile.

In come judged rows that the database surely accepts; they are copied without a staging table, and the constraints are
put back in the same transaction. Only empty tables of our own are treated so, under locks that are given up rather than
waited for; until the load commits, others wait for them, as they never do once there are rows. A failure rolls the
constraints back together with the rows, and empty tables are all that the next run needs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg2 import errors

from etlkit.copying import copy_blocks
from etlkit.postgres import Cursor, run_file, server_words
from museum.judged_rows import JudgedRows
from museum.kiosk import Reference

SQL = Path(__file__).resolve().parent.parent / "sql" / "load"
BULK_ROWS = 100_000
"""From how many rows on a rebuild of the constraints is cheaper than checking them row by row."""

LOCK_TIMEOUT = "2s"
"""For each table. After one second Postgres takes its own autovacuum out of the way, or ends us in a deadlock."""

REFUSALS = (
    errors.LockNotAvailable,
    errors.DeadlockDetected,
    errors.InsufficientPrivilege,
    errors.DependentObjectsStillExist,
)
"""Why a table cannot be treated so: in use, or in somebody's foreign key or view."""

MAINTENANCE_MEMORY = "256MB"
COUNTING_MEMORY = "64MB"
"""Enough for the hours of 20 years without a temporary file."""

STATEMENTS = {
    "review": ("start_review_ids", "copy_review", "end_review_ids"),
    "incident": ("start_incident_ids", "copy_incident", "end_incident_ids"),
}
DROPS = ("drop_review_constraints", "drop_incident_constraints", "drop_event_indexes")
REBUILDS = (
    "rebuild_review_constraints",
    "rebuild_incident_constraints",
    "create_review_exhibition_at",
    "create_review_at",
    "create_incident_exhibition_at",
    "create_incident_at",
    "clear_review_hour_change",
    "clear_review_hour",
    "count_review_hours",
    "fill_review_hour",
    "clear_incident_hour_change",
    "clear_incident_hour",
    "count_incident_hours",
    "fill_incident_hour",
)


@dataclass(frozen=True)
class CopiedEvents:
    """How many rows a bulk load brought; none at all when it was no bulk load."""

    reviews: int = 0
    incidents: int = 0
    is_bulk: bool = False


def take_bulk_target(cursor: Cursor, rows: int, logger: logging.Logger) -> bool:
    """Lock the event tables for a load of so many rows and take their constraints off; False leaves all as it was.

    True commits the caller to `copy_in_bulk`, which puts the constraints back.
    """
    if rows < BULK_ROWS or not _is_bulk_target(cursor):
        return False
    cursor.execute("select current_setting('lock_timeout')")
    (lock_timeout,) = cursor.fetchone() or ("0",)
    cursor.execute("savepoint bulk_target")
    cursor.execute("select set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
    try:
        run_file(cursor, SQL / "lock_bulk_target.sql")
        run_file(cursor, SQL / "lock_hours.sql")
        is_ours = _is_bulk_target(cursor)
        for name in DROPS if is_ours else ():
            run_file(cursor, SQL / f"{name}.sql")
    except REFUSALS as error:
        logger.info("loading row by row, which is slower: %s", server_words(error))
        is_ours = False
    if not is_ours:
        cursor.execute("rollback to savepoint bulk_target")
        return False
    cursor.execute("select set_config('lock_timeout', %s, true)", (lock_timeout,))
    return True


def read_exhibition_ids(cursor: Cursor, reference: Reference) -> dict[int, int]:
    """Return the exhibition's id of every known site that has one."""
    run_file(cursor, SQL / "read_exhibition_ids.sql", {"sites": sorted(reference.sites)})
    return dict(cursor.fetchall())


def copy_in_bulk(cursor: Cursor, rows: JudgedRows, exhibition_ids: Mapping[int, int]) -> CopiedEvents:
    """Copy the rows that the database surely accepts; return how many they are."""
    copied = {}
    for kind, (start_ids, copy, end_ids) in STATEMENTS.items():
        run_file(cursor, SQL / f"{start_ids}.sql")
        (first_id,) = cursor.fetchone() or (1,)
        blocks = rows.event_blocks(kind, exhibition_ids, first_id)
        copied[kind] = copy_blocks(cursor, SQL / f"{copy}.sql", blocks)
        run_file(cursor, SQL / f"{end_ids}.sql", {"last_id": first_id + max(copied[kind] - 1, 0)})
    cursor.execute("select set_config('maintenance_work_mem', %s, true)", (MAINTENANCE_MEMORY,))
    cursor.execute("select set_config('work_mem', %s, true)", (COUNTING_MEMORY,))
    for name in REBUILDS:
        run_file(cursor, SQL / f"{name}.sql")
    return CopiedEvents(copied["review"], copied["incident"], is_bulk=True)


def _is_bulk_target(cursor: Cursor) -> bool:
    """Tell whether the event tables are empty and our own."""
    run_file(cursor, SQL / "find_bulk_target.sql")
    return bool((cursor.fetchone() or (False,))[0])
