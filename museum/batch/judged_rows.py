"""Judged rows on their way into Postgres: Parquet in, COPY's binary format out, a block at a time.

The large first load brings rows that the database surely accepts straight into review and incident, whose constraints
are put back in the same transaction. Only empty tables of our own are treated so, under locks that are given up rather
than waited for; until the load commits, others wait for them, as they never do once there are rows. A failure rolls the
constraints back together with the rows, and empty tables are all that the next run needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from logging import Logger
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from psycopg2.errors import DeadlockDetected, DependentObjectsStillExist, InsufficientPrivilege, LockNotAvailable

from etlkit.copying import copy_blocks
from etlkit.postgres import Cursor, only_value, run_file, server_words
from museum.batch.duck import DuckDB
from museum.binary_copy import BINARY_HEADER, BINARY_TRAILER, event_records, press_records
from museum.kiosk import Reference
from museum.settings import SQL

STATEMENTS = SQL / "first_load"
BULK_ROWS = 100_000
"""From how many rows on a rebuild of the constraints is cheaper than checking them row by row."""

LOCK_TIMEOUT = "2s"
"""For each table. After one second Postgres takes its own autovacuum out of the way, or ends us in a deadlock."""

REFUSALS = (LockNotAvailable, DeadlockDetected, InsufficientPrivilege, DependentObjectsStillExist)
"""Why a table cannot be treated so: in use, or in somebody's foreign key or view."""

MEMORY_LIMIT = "32MB"
VECTORS_A_BLOCK = 8
"""DuckDB hands rows over in vectors of 2,048."""


class JudgedObject(NamedTuple):
    """An object's judged rows and its number in the ledger."""

    rows_path: Path
    source_id: int


class JudgedRows:
    """The judged rows of some objects, sorted by what the database will say of them."""

    def __init__(self, objects: Sequence[JudgedObject], accepted: Reference) -> None:
        """Open a reader; `accepted` is what the database surely accepts, and with no site in it all rows are staged."""
        self.objects = objects
        self._accepted = {
            "latest_at": accepted.latest_at.astimezone(UTC).replace(tzinfo=None),
            "sites": sorted(accepted.sites),
            "ratings": sorted(accepted.ratings),
            "incident_types": sorted(accepted.incident_types),
        }
        self._duck = DuckDB(None, memory_limit=MEMORY_LIMIT)

    def close(self) -> None:
        """Free the reader's memory."""
        self._duck.close()

    def staging_blocks(self) -> Iterator[bytes]:
        """Yield the rows for staging_kiosk: at, site, val, type, source_id, row."""
        yield BINARY_HEADER
        for rows in self._rows("staging"):
            for is_rating, part in rows.groupby(rows["type"].isna()):
                type_ = None if is_rating else part["type"]
                yield press_records(part["at"], part["site"], part["val"], type_, part["source_id"], part["row_number"])
        yield BINARY_TRAILER

    def event_blocks(self, kind: str, exhibition_ids: Mapping[int, int], first_id: int) -> Iterator[bytes]:
        """Yield the rows for review or incident: id, exhibition_id, at, rating or type, source_id, position."""
        sites = np.array(sorted(exhibition_ids))
        ids_by_site = np.array([exhibition_ids[site] for site in sites])
        code = "val" if kind == "review" else "type"
        yield BINARY_HEADER
        for rows in self._rows(kind):
            exhibition = ids_by_site[np.searchsorted(sites, rows["site"])]
            ids = np.arange(first_id, first_id + len(rows))
            yield event_records(ids, exhibition, rows["at"], rows[code], rows["source_id"], rows["row_number"])
            first_id += len(rows)
        yield BINARY_TRAILER

    def _rows(self, destination: str) -> Iterator[pd.DataFrame]:
        """Yield some rows of one destination after the other, object by object, with their source_id."""
        paths = [str(item.rows_path) for item in self.objects]
        source_ids = np.array([item.source_id for item in self.objects])
        found = self._duck.run("list_judged_rows", paths=paths, destination=destination, **self._accepted)
        while len(rows := found.fetch_df_chunk(VECTORS_A_BLOCK)):
            yield rows.assign(source_id=source_ids[rows["file_index"]])


class CopiedEvents(NamedTuple):
    """How many rows a bulk load brought; none at all when it was no bulk load."""

    reviews: int = 0
    incidents: int = 0
    is_bulk: bool = False


def take_bulk_target(cursor: Cursor, rows: int, logger: Logger) -> bool:
    """Lock the event tables for a load of so many rows and take their constraints off; False leaves all as it was.

    True commits the caller to `copy_in_bulk`, which puts the constraints back.
    """
    if rows < BULK_ROWS or not _is_bulk_target(cursor):
        return False
    cursor.execute("select current_setting('lock_timeout')")
    lock_timeout = only_value(cursor)
    cursor.execute("savepoint bulk_target")
    cursor.execute("select set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
    try:
        run_file(cursor, STATEMENTS / "lock_bulk_target.sql")
        if _is_bulk_target(cursor):
            run_file(cursor, STATEMENTS / "drop_constraints.sql")
            cursor.execute("select set_config('lock_timeout', %s, true)", (lock_timeout,))
            return True
    except REFUSALS as error:
        logger.info("loading row by row, which is slower: %s", server_words(error))
    cursor.execute("rollback to savepoint bulk_target")
    return False


def read_exhibition_ids(cursor: Cursor, reference: Reference) -> dict[int, int]:
    """Return the exhibition's id of every known site that has one."""
    run_file(cursor, STATEMENTS / "read_exhibition_ids.sql", {"sites": sorted(reference.sites)})
    return dict(cursor.fetchall())


def copy_in_bulk(cursor: Cursor, rows: JudgedRows, exhibition_ids: Mapping[int, int]) -> CopiedEvents:
    """Copy the rows that the database surely accepts; return how many they are."""
    copied = {}
    for kind, statement in (("review", "copy_review.sql"), ("incident", "copy_incident.sql")):
        ids = {"table": kind, "column": f"{kind}_id"}
        cursor.execute("select nextval(pg_get_serial_sequence(%(table)s, %(column)s))", ids)
        first_id = only_value(cursor)
        copied[kind] = copy_blocks(cursor, STATEMENTS / statement, rows.event_blocks(kind, exhibition_ids, first_id))
        ids["last_id"] = first_id + max(copied[kind] - 1, 0)
        cursor.execute("select setval(pg_get_serial_sequence(%(table)s, %(column)s), %(last_id)s)", ids)
    # enough to count the hours of 20 years without a temporary file
    cursor.execute("set local maintenance_work_mem = '256MB'; set local work_mem = '64MB'")
    run_file(cursor, STATEMENTS / "rebuild_constraints.sql")
    run_file(cursor, STATEMENTS / "fill_hours.sql")
    return CopiedEvents(copied["review"], copied["incident"], is_bulk=True)


def _is_bulk_target(cursor: Cursor) -> bool:
    """Tell whether the event tables are empty and our own."""
    run_file(cursor, STATEMENTS / "find_bulk_target.sql")
    return bool(only_value(cursor))
