"""Run history in `meta.ingestion_runs`.

A run's row says `running` in a transaction of its own and becomes `completed` in the transaction of its data; a run
that rolled back becomes `failed`. A process that was killed leaves `running` behind, which the next holder of the
target's lock repairs, so a row never says `running` for longer than until the next run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from etlkit.postgres import Connection, Cursor, load_errors, run_file

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Run:
    """One run of one target; a dry run leaves no row."""

    run_id: UUID
    source_system: str
    entity_type: str
    dry_run: bool = False


def start_run(connection: Connection, run: Run, metadata: Mapping[str, Any], *, is_alone: bool = True) -> int:
    """Write the running row and commit; return how many orphaned runs were repaired. Hold the target's lock.

    Where runs of the same target work side by side (`is_alone=False`), their rows are left alone.
    """
    if run.dry_run:
        return 0
    with load_errors("starting the run's history"), connection, connection.cursor() as cursor:
        target = {"source_system": run.source_system, "entity_type": run.entity_type}
        orphans = run_file(cursor, SQL / "fail_orphaned_runs.sql", target) if is_alone else 0
        run_file(
            cursor,
            SQL / "start_run.sql",
            {"run_id": str(run.run_id), "metadata": json.dumps(metadata, default=str), **target},
        )
    return orphans


def complete_run(
    cursor: Cursor, run: Run, *, processed: int, created: int, updated: int, metadata: Mapping[str, Any]
) -> None:
    """Complete the run in the caller's transaction, so that its data and its row appear together."""
    if run.dry_run:
        return
    run_file(
        cursor,
        SQL / "complete_run.sql",
        {
            "run_id": str(run.run_id),
            "records_processed": processed,
            "records_created": created,
            "records_updated": updated,
            "metadata": json.dumps(metadata, default=str),
        },
    )


def fail_run(
    connection: Connection,
    run: Run,
    message: str,
    *,
    counts: tuple[int, int, int] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> bool:
    """Mark the run failed after its rollback; return False when the connection is gone (the next run repairs it).

    `counts` are what was processed, created and updated in the end, where the row does not say so already.
    """
    if run.dry_run:
        return True
    storable = message.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    try:
        connection.rollback()
        with connection, connection.cursor() as cursor:
            processed, created, updated = counts or (None, None, None)
            run_file(
                cursor,
                SQL / "fail_run.sql",
                {
                    "run_id": str(run.run_id),
                    "error_message": storable,
                    "records_processed": processed,
                    "records_created": created,
                    "records_updated": updated,
                    "metadata": json.dumps(metadata or {}, default=str),
                },
            )
    except psycopg2.Error:
        return False
    return True
